"""The numbers behind the interactive scatter are those of the tables, and nothing in them can leave their place."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from example_pages import (
    BASELINES,
    POOLS,
    REFERENCE,
    SETTINGS,
    SHIFTS,
    page_evaluations,
    public_models,
    published_evaluations,
    write_page,
)
from fit_trends import fit_trends
from testbed.explorer.data import explorer_data
from testbed.explorer.page import HERE, SCRIPTS, STYLES, explorer_page, json_block
from testbed.explorer.views import Tables
from testbed.figures.style import FigureError
from testbed.statistics.lines import clopper_pearson
from testbed.statistics.scales import SCALES, transform
from testbed.statistics.tables import pair_with_reference

ROUNDED = {"abs": 6e-5}


def data_of(
    evaluations: pd.DataFrame, pools=POOLS, settings=SETTINGS, published=None, models=None, shifts=SHIFTS
) -> dict:
    pairs = pair_with_reference(evaluations, REFERENCE)
    crosses = None if published is None else pair_with_reference(published, REFERENCE)
    return explorer_data(Tables(pairs, crosses, models, BASELINES), "example", REFERENCE, shifts, pools, settings)


@pytest.fixture(scope="module")
def data() -> dict:
    return data_of(page_evaluations(), published=published_evaluations(), models=public_models())


def names_in(data: dict, panel: dict) -> list[str]:
    return [data["models"]["name"][model] for model in panel["model"]]


def test_points_are_those_of_the_table(data):
    pairs = pair_with_reference(page_evaluations(), REFERENCE)
    assert [(panel["shift"], panel["classes"]) for panel in data["panels"]] == [
        ("imagenet-v2", "all"), ("imagenet-r", "all"), ("imagenet-r", "shift"),
        ("imagenet-sketch", "all"), ("imagenet-a", "all"),
    ]  # fmt: skip
    for panel in data["panels"]:
        classes = "all" if panel["classes"] == "all" else panel["shift"]
        rows = pairs[(pairs["testset"] == panel["shift"]) & (pairs["classes"] == classes)].set_index("model")
        names = names_in(data, panel)
        assert set(rows.index) <= set(names)
        own = [place for place, name in enumerate(names) if name in rows.index]
        rows = rows.loc[[names[place] for place in own]]
        low, high = clopper_pearson(rows["correct"], rows["n"], 0.995)
        for column, expected in (
            ("n", rows["n"]), ("value", rows["value"]), ("low", low), ("high", high),
            ("reference_n", rows["reference_n"]), ("reference_value", rows["reference_value"]),
        ):  # fmt: skip
            assert [panel[column][place] for place in own] == pytest.approx(list(expected), abs=6e-6), column


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("baseline", ["standard", "standard_extended", "pool:wit"])
def test_lines_and_effective_robustness_are_those_of_the_tables(data, scale, baseline):
    settings = replace(SETTINGS, scale=scale, baseline=baseline)
    trends, robustness = fit_trends(page_evaluations(), REFERENCE, settings, BASELINES)
    compared = 0
    for panel, view in zip(data["panels"], data["views"][scale], strict=True):
        classes = "all" if panel["classes"] == "all" else panel["shift"]
        here = trends[(trends["testset"] == panel["shift"]) & (trends["classes"] == classes)].set_index("pool")
        assert len(view["lines"]) == len(POOLS)
        for line in view["lines"]:
            expected = here.loc[data["series"][line["series"]]["pool"]]
            for name in ("n", "slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high", "r2"):
                assert line[name] == pytest.approx(expected[name], **ROUNDED), name
            left, right, low, high = line["ends"]
            assert [low, high] == pytest.approx(
                expected["slope"] * np.array([left, right]) + expected["intercept"], abs=4e-4
            )
        rows = robustness[(robustness["testset"] == panel["shift"]) & (robustness["classes"] == classes)]
        rows = rows.set_index("model").dropna(subset="effective_robustness")
        assert (baseline in view["baselines"]) == (not rows.empty)
        if baseline in view["baselines"]:
            columns = view["baselines"][baseline]["robustness"]
            for name, *found in zip(names_in(data, panel), *columns, strict=True):
                if name in rows.index:
                    expected = rows.loc[
                        name, ["effective_robustness", "effective_robustness_low", "effective_robustness_high"]
                    ]
                    assert found == pytest.approx(list(expected.astype(float)), abs=6e-4)
                    compared += 1
    assert compared >= 32 * 3


def test_log_is_not_flooded(caplog):
    """Nine baselines on three scales would repeat what fit_trends says of one."""
    data_of(page_evaluations(), published=published_evaluations())
    assert caplog.records == []


def test_what_stands_behind_is_part_of_no_trend(data):
    kinds = [series["kind"] for series in data["series"]]
    assert kinds == ["source"] * 6 + ["mixture"] * 2 + ["published", "public"]
    for panel, view in zip(data["panels"], data["views"]["logit"], strict=True):
        assert {line["series"] for line in view["lines"]} == set(range(8))
        names = names_in(data, panel)
        assert "a_checkpoint" in names
        if panel["classes"] == "all":
            # the second is beyond the axes, and not moved onto the frame
            assert view["px"][names.index("public one")] == pytest.approx(transform(0.25), **ROUNDED)
            assert view["px"][names.index("public two")] is None
            assert panel["n"][names.index("public one")] is None
    sketch = data["views"]["logit"][3]["baselines"]["standard_extended"]["robustness"]
    assert [column[names_in(data, data["panels"][3]).index("public one")] for column in sketch] == [12.5, 11.0, 14.0]


def test_baselines_are_offered_with_the_extended_one_first_and_then_all_sources(data):
    keys = [baseline["key"] for baseline in data["baselines"]]
    assert keys[:3] == ["none", "standard_extended", "standard"]
    sources = [pool["name"] for pool in POOLS if pool["kind"] == "source"]
    assert keys[3:] == [f"pool:{name}" for name in sources]


def test_mixtures_know_their_members(data):
    looks = {series["pool"]: series for series in data["series"]}
    assert looks["redcaps_wit"]["data"] == "25 % redcaps + 75 % wit"
    assert looks["redcaps_wit"]["family"] == ["redcaps_wit", "redcaps", "wit"]
    assert looks["wit"]["family"] == ["wit"]
    ensemble = {"name": "wit_yfcc", "kind": "ensemble", "members": {"wit": 1, "yfcc": 1}, "average": "logits"}
    filtered = {"name": "best_wit", "kind": "filter", "members": {}, "of": "wit"}
    evaluations = page_evaluations()
    more = evaluations[evaluations["pool"] == "wit"].assign(pool="best_wit")
    more["model"] = "best_" + more["model"]
    both = more.assign(pool="wit_yfcc", model="both_" + more["model"])
    looks = data_of(pd.concat([evaluations, more, both]), [*POOLS, filtered, ensemble], shifts=SHIFTS[:1])["series"]
    assert (looks[-2]["family"], looks[-2]["data"]) == (["best_wit", "wit"], "filtered from wit")
    assert (looks[-1]["family"], looks[-1]["data"]) == (
        ["wit_yfcc", "wit", "yfcc"],
        "logits averaged: 50 % wit + 50 % yfcc",
    )


def test_pool_with_one_model_has_no_line():
    evaluations = page_evaluations()
    evaluations = evaluations[(evaluations["pool"] != "wit") | (evaluations["size"] == 1_000_000)]
    data = data_of(evaluations, shifts=["imagenet-v2", "imagenet-r"])
    (place,) = [place for place, series in enumerate(data["series"]) if series["pool"] == "wit"]
    for scale in SCALES:
        for panel, view in zip(data["panels"], data["views"][scale], strict=True):
            assert place not in [line["series"] for line in view["lines"]]
            assert "pool:wit" not in view["baselines"]
            assert [data["models"]["series"][model] for model in panel["model"]].count(place) == 1


@pytest.mark.parametrize(("value", "end"), [(0, 0), (1, 1)])
def test_models_at_zero_and_one_stand_on_the_frame(value, end):
    evaluations = page_evaluations()
    chosen = (evaluations["model"] == "yfcc-mini_rn-1000000-0") & (evaluations["testset"] == "imagenet-a")
    evaluations.loc[chosen, "correct"] = value * evaluations.loc[chosen, "n"]
    evaluations.loc[chosen, "value"] = float(value)
    data = data_of(evaluations, shifts=["imagenet-a"])
    (panel,) = data["panels"]
    for scale in ("logit", "probit"):
        (view,) = data["views"][scale]
        point = names_in(data, panel).index("yfcc-mini_rn-1000000-0")
        assert view["py"][point] == view["y"][end]
        assert view["lines"][0]["left_out"] == 1


def test_units_are_equally_long_on_both_axes(data):
    for views in data["views"].values():
        for view in views:
            assert view["shape"] == pytest.approx(np.ptp(view["y"]) / np.ptp(view["x"]), abs=1e-3)


HOSTILE = ["</script><script>alert(1)</script>", "<!--", "]]>", "[[data]]", "'\"&\\", "\u2028\u2029", "a" * 300]


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_leave_the_data(name, tmp_path):
    evaluations = page_evaluations().replace({"pool": {"wit": name}})
    evaluations["model"] = evaluations["model"].str.replace("wit", name, regex=False)
    pools = [{"name": pool, "kind": "source", "members": {}} for pool in ("yfcc", name)]
    page = write_page(tmp_path / "explore.html", evaluations, pools).read_text(encoding="utf-8")
    start = page.index('<script type="application/json" id="data">')
    block = page[start:].split(">", 1)[1].split("</script>", 1)[0]
    assert name in [series["pool"] for series in json.loads(block)["series"]]
    assert page.count("<script") == page.count("</script>") == 2
    assert not re.search("[<>&\u2028\u2029]", block)


def test_gaps_that_json_does_not_have_are_refused():
    with pytest.raises(ValueError):
        json_block({"value": float("nan")})


def test_page_is_one_file_of_all_its_parts(data):
    page = explorer_page(data)
    assert {*STYLES, *SCRIPTS, "page.html"} == {
        path.name for path in HERE.iterdir() if path.suffix in (".css", ".js", ".html")
    }
    for name in (*STYLES, *SCRIPTS):
        assert (HERE / name).read_text(encoding="utf-8") in page
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {"claims.html", "data:,"}
    assert set(re.findall(r"url\(([^)]*)\)", page)) == {"#inside"}
    assert set(re.findall(r"https?://[^\"\s]+", page)) == {"http://www.w3.org/2000/svg"}


def test_nothing_to_draw_is_an_error():
    with pytest.raises(FigureError, match="no model of the pools"):
        data_of(page_evaluations(), [{"name": "absent", "kind": "source", "members": {}}])
    evaluations = page_evaluations()
    kept = evaluations["testset"].isin([REFERENCE, "imagenet-v2"])
    pairs = pair_with_reference(evaluations[kept], REFERENCE)
    with pytest.raises(FigureError, match="no model was evaluated on objectnet"):
        explorer_data(Tables(pairs), "example", REFERENCE, ["objectnet"], POOLS, SETTINGS)
