"""Verification hashes what every manifest records, and says what differs."""

import pytest

from make_miniweb import make_source
from testbed.miniweb.testsets import make_testset
from testbed.records.manifest import record, write_json
from testbed.records.provenance import made_from
from verify import verify


@pytest.fixture
def results(tmp_path):
    """Two folders with a manifest each: one with two files, one with a file in a folder of its own."""
    for name in ("shards/a/0.tar", "shards/a/1.tar", "testsets/b/test/0.tar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    files = [record(tmp_path / "shards/a" / name, samples=3) for name in ("0.tar", "1.tar")]
    write_json(tmp_path / "shards/a/manifest.json", {"files": files})
    below = record(tmp_path / "testsets/b/test/0.tar") | {"name": "test/0.tar"}
    write_json(tmp_path / "testsets/b/manifest.json", {"files": [below]})
    return tmp_path


def test_whole_results_have_no_problem(results):
    assert verify(results) == (3, [])


def test_results_that_do_not_exist_have_no_files(tmp_path):
    assert verify(tmp_path / "none") == (0, [])


def test_each_file_that_differs_is_named(results):
    (results / "shards/a/0.tar").write_text("CONTENT of shards/a/0.tar")
    (results / "shards/a/1.tar").unlink()
    (results / "testsets/b/test/0.tar").write_text("short")
    count, problems = verify(results)
    assert count == 3
    assert [problem.partition(": ")[0] for problem in problems] == [
        str(results / name) for name in ("shards/a/0.tar", "shards/a/1.tar", "testsets/b/test/0.tar")
    ]
    assert [word in line for word, line in zip(["SHA-256", "missing", "5 bytes"], problems, strict=True)] == [True] * 3


def test_a_link_is_checked_by_what_it_leads_to(results):
    (results / "trainsets").mkdir()
    (results / "trainsets/0.tar").symlink_to("../shards/a/0.tar")
    write_json(results / "trainsets/manifest.json", {"files": [record(results / "trainsets/0.tar")]})
    assert verify(results) == (4, [])
    (results / "shards/a/0.tar").unlink()
    assert f"{results}/trainsets/0.tar: is missing" in verify(results)[1]


def test_a_manifest_that_is_cut_is_a_problem(results):
    path = results / "shards/a/manifest.json"
    path.write_text(path.read_text()[:-20])
    count, problems = verify(results)
    assert count == 1
    assert problems[0].startswith(f"{path}: is not JSON")


@pytest.mark.parametrize("content", [{}, {"files": []}, {"rows": 3}])
def test_a_manifest_without_files_is_a_problem(results, content):
    write_json(results / "shards/a/manifest.json", content)
    count, problems = verify(results)
    assert (count, len(problems)) == (1, 1)
    assert f"{results}/shards/a/manifest.json: records no files" in problems[0]


def test_manifests_of_every_shape_are_understood(tmp_path):
    """The mini-web's manifest keeps its records under other names than `files`."""
    make_source("yfcc", 30, 0, tmp_path / "miniweb" / "manifest.json")
    write_json(tmp_path / "testset" / "manifest.json", make_testset("v2", 20, 0, tmp_path / "testset"))
    count, problems = verify(tmp_path)
    assert (count, problems) == (2 + 5, [])
    (tmp_path / "miniweb" / "pages.parquet").unlink()
    assert verify(tmp_path)[1] == [f"{tmp_path}/miniweb/pages.parquet: is missing"]


def test_downloads_that_are_in_shards_may_be_gone(results):
    folder = results / "downloads/a/00000"
    folder.mkdir(parents=True)
    (folder / "00000.tar").write_text("images")
    entry = record(folder / "00000.tar", passing=True)
    write_json(folder / "manifest.json", {"rows": 3, "files": [entry]})
    write_json(folder / "00000.json", {"files": [entry]})
    assert verify(results) == (4, [])
    (folder / "00000.tar").unlink()
    assert verify(results) == (4, [f"{folder / '00000.tar'}: is missing"])
    write_json(folder / "00000.json", {"files": [entry], "sharded": True})
    assert verify(results) == (3, [])
    # Downloads that are kept beside their shards are looked at.
    (folder / "00000.tar").write_text("damage")
    count, problems = verify(results)
    assert count == 4 and len(problems) == 1 and problems[0].startswith(f"{folder / '00000.tar'}: its SHA-256 is not")


def test_a_part_behind_the_end_of_a_list_has_no_files(results):
    write_json(results / "downloads/a/00001/manifest.json", {"rows": 0, "files": []})
    assert verify(results) == (3, [])


@pytest.fixture
def released(results, tmp_path_factory):
    """The file of a released list outside of the results, whose pairs have been read."""
    path = tmp_path_factory.mktemp("lists") / "list.tsv"
    path.write_text("the list")
    folder = results / "metadata/a"
    folder.mkdir(parents=True)
    (folder / "pairs.parquet").write_text("pairs")
    content = {"rows": 3, "list": made_from(path), "files": [record(folder / "pairs.parquet")]}
    write_json(folder / "counts.json", content)
    return path


def test_lists_and_pairs_are_looked_at(results, released):
    assert verify(results) == (5, [])
    (results / "metadata/a/pairs.parquet").write_text("PAIRS")
    assert f"{results}/metadata/a/pairs.parquet: its SHA-256" in verify(results)[1][0]


@pytest.mark.parametrize("content", ["THE list", "the list and more"])
def test_a_list_that_has_changed_since_it_was_read_is_named(results, released, content):
    released.write_text(content)
    count, (line,) = verify(results)
    assert count == 5
    assert line.startswith(f"{released}: differs from the list that was read")
    assert f"{results}/metadata/a/counts.json" in line


def test_a_list_may_be_gone_when_it_has_been_read(results, released):
    released.unlink()
    assert verify(results) == (5, [])


def test_counts_of_older_results_record_no_files(results):
    write_json(results / "metadata/a/counts.json", {"rows": 3, "kept": 3, "dropped": {}})
    assert verify(results) == (3, [])


def test_chains_of_models_are_no_manifests(results):
    write_json(results / "provenance/m.json", {"metrics": {"path": "nowhere", "sha256": "0"}})
    assert verify(results) == (3, [])
