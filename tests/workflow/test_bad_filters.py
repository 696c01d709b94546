"""Filters that cannot be: they stop a run before any work, or before images are fetched."""

import pytest
from test_bad_input import run_changed

from runs import TINY, run_snakemake

SQL = "from: mini_yfcc, method: sql, where:"
SCORED = "from: mini_yfcc, method: clip_score, fraction: 0.5, teacher:"
METACLIP = "from: mini_yfcc, method: metaclip, entries:"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param(f'f: {{{SQL} "similarity >"}}', ["filters.f.where", "syntax error"], id="syntax"),
        pytest.param(f'f: {{{SQL} "true; DROP TABLE x"}}', ["filters.f.where", "syntax error"], id="two statements"),
        pytest.param(f'f: {{{SQL} "EXISTS (FROM read_text(1))"}}', ["filters.f.where", "subquery"], id="files"),
        pytest.param("f: {from: f, method: basic, language: en}", ["derived from itself (f -> f)"], id="circle"),
        pytest.param(
            f"f: {{{SCORED} {{pool: mini_imagenet, size: 5}}}}",
            ["filters.f.teacher.size: mini_imagenet has no model of size 5"],
            id="teacher",
        ),
        pytest.param(
            "f: {from: mini_yfcc, method: all, columns_from: {path: gone.parquet, key: uid}}",
            ["filters.f.columns_from: gone.parquet: there is no such file. Put the table there"],
            id="no table",
        ),
        pytest.param(
            "f: {from: mini_yfcc, method: subset, path: gone.npy}",
            ["filters.f.path: gone.npy: there is no such file"],
            id="no subset",
        ),
        pytest.param(f"f: {{{METACLIP} [{{kind: miniweb}}], t: 0}}", ["filters.f.t: 0"], id="t"),
        pytest.param(
            f"f: {{{METACLIP} [{{kind: list, path: gone.txt}}], t: 9}}",
            ["filters.f.entries.0.path: gone.txt", "Put the list there"],
            id="no list",
        ),
    ],
)
def test_bad_filters_stop_before_any_work(workflow_copy, filters, expected):
    result = run_changed(workflow_copy, "mixtures:\n", f"filters:\n  {filters}\nmixtures:\n")
    assert result.returncode != 0
    for word in expected:
        assert word in result.stdout
    assert "Traceback" not in result.stdout
    assert not (workflow_copy / "results").exists()


def test_a_condition_on_a_column_that_the_list_lacks_stops_before_any_work(workflow_copy):
    (workflow_copy / "list.csv").write_text("url,caption,score\nhttp://photos.test/1.jpg,a cat,3\n")
    mine = "  mine: {metadata: {path: list.csv, format: csv}, samples: 30, sizes: [20]}\n"
    filters = 'filters:\n  f: {from: mine, method: sql, where: "scores > 1", sizes: [20]}\nmixtures:\n'
    text = TINY.read_text().replace("sources:\n", "sources:\n" + mine).replace("mixtures:\n", filters)
    (workflow_copy / "mine.yaml").write_text(text)
    result = run_snakemake(workflow_copy, "--configfile", "mine.yaml", check=False)
    assert result.returncode != 0
    for word in ("filters.f.where", "'scores > 1'", "score, ", "original_width"):
        assert word in result.stdout
    assert not (workflow_copy / "results").exists()


CANNOT_MATCH = pytest.param("U.S.\nSt. Louis\n", "none of its 2 entries can be in a caption", id="none can match")
NO_MATCH = pytest.param("zzyzx\nDOG\n", "none of its 2 entries is in any of ", id="none matches")


@pytest.mark.parametrize(("entries", "expected"), [CANNOT_MATCH, NO_MATCH])
def test_entries_that_no_caption_of_a_list_has_stop_before_any_work(workflow_copy, entries, expected):
    (workflow_copy / "own.txt").write_text(entries)
    (workflow_copy / "list.csv").write_text("url,caption\nhttp://photos.test/1.jpg,a dog\n")
    mine = "  mine: {metadata: {path: list.csv, format: csv}, samples: 30, sizes: [20]}\n"
    filters = (
        "filters:\n  f: {from: mine, method: metaclip, entries: [{kind: list, path: own.txt}], t: 9, sizes: [20]}\n"
    )
    text = TINY.read_text().replace("sources:\n", "sources:\n" + mine).replace("mixtures:\n", filters + "mixtures:\n")
    (workflow_copy / "mine.yaml").write_text(text)
    result = run_snakemake(workflow_copy, "--configfile", "mine.yaml", check=False)
    assert result.returncode != 0
    assert f"filters.f.entries: filter f: {expected}" in result.stdout and "Traceback" not in result.stdout
    assert not (workflow_copy / "results").exists()


@pytest.mark.parametrize(("entries", "expected"), [CANNOT_MATCH, NO_MATCH])
def test_entries_that_no_caption_of_a_drawn_list_has_stop_before_its_images_are_fetched(
    workflow_copy, entries, expected
):
    (workflow_copy / "own.txt").write_text(entries)
    filters = f"filters:\n  f: {{{METACLIP} [{{kind: list, path: own.txt}}], t: 9}}\nmixtures:\n"
    result = run_changed(workflow_copy, "mixtures:\n", filters)
    assert result.returncode != 0
    assert f"filter f: {expected}" in result.stdout
    assert not (workflow_copy / "results/downloads/mini_yfcc").exists()
