"""The interactive scatter in a real browser without a network: pointer, keyboard, screen reader, address."""

import json

import numpy as np
import pytest
from scipy.special import logit

from example_pages import BASELINES, REFERENCE, SETTINGS, SHIFTS, SOURCES, page_evaluations
from fit_trends import fit_trends
from testbed.statistics.lines import clopper_pearson
from testbed.statistics.tables import pair_with_reference

POOL = "#legend li:has(button[aria-label='Show {}']) .pool"
NAME = "element.getAttribute('aria-label').split(',')[0]"


def points(page, condition: str = "true") -> list[str]:
    """Names of the models drawn for which a condition on their `element` holds."""
    found = f"[...document.querySelectorAll('.point')].filter((element) => {condition}).map((element) => {NAME})"
    return page.run(found)


def card(page) -> str:
    """The words of the card, or nothing while it is hidden."""
    return page.run("card.hidden ? '' : card.innerText.replace(/\\s+/g, ' ')")


def focused(page) -> str:
    return page.run(f"((element) => element.matches('.point') ? {NAME} : element.tagName)(document.activeElement)")


def focus_model(page, name: str) -> None:
    page.run(
        f"focusPoint(shownPoints().find((point) => DATA.models.name[currentPanel().model[point]] === {json.dumps(name)}))"
    )


def place_of(page, name: str) -> list[float]:
    found = f"[...document.querySelectorAll('.point')].find((element) => {NAME} === {json.dumps(name)})"
    return page.run(f"((box) => [box.x + box.width / 2, box.y + box.height / 2])({found}.getBoundingClientRect())")


def place_on_line(page, pool: str) -> list[float]:
    """Somewhere on a pool's line that is not at a point, nor at another's line."""
    return page.run(
        "(() => { const line = currentView().lines.find((one) => DATA.series[one.series].pool === "
        f"{json.dumps(pool)}); const [left, right, low, high] = line.ends; const box = stage.getBoundingClientRect();"
        "for (let step = 1; step < 200; step += 1) { const x = chart.frame.x(left + (right - left) * step / 200);"
        "const y = chart.frame.y(low + (high - low) * step / 200);"
        "if (nearest(x, y)?.line === line) return [box.x + x, box.y + y]; } })()"
    )


def source_heights(shift: str) -> list[float]:
    """Shifted accuracies on the logit scale of the sources' lines at their mean reference accuracy."""
    evaluations = page_evaluations()
    pairs = pair_with_reference(evaluations[evaluations["classes"] == "all"], REFERENCE)
    own = pairs[(pairs["testset"] == shift) & pairs["pool"].isin(SOURCES)]
    middle = logit(own["reference_value"]).mean()
    return [
        np.polyval(np.polyfit(logit(points["reference_value"]), logit(points["value"]), 1), middle)
        for _, points in own.groupby("pool")
    ]


def written(value: float) -> str:
    return f"{100 * value:.1f}"


def test_page_opens_without_a_network(page):
    assert page.run("navigator.onLine") is False
    assert len(points(page)) == 32 + 2
    assert page.run("document.title") == "Effective robustness: example"
    assert page.run("document.querySelectorAll('.lines > .line').length") == 8


def test_page_begins_with_the_sources_where_they_differ_most(browser, page, file):
    browser.open(file)
    apart = {shift: np.ptp(source_heights(shift)) for shift in SHIFTS}
    assert page.run("state.shift") == max(apart, key=apart.get)
    kinds = "[...new Set(shownPoints().map((point) => DATA.series[seriesOf(currentPanel(), point)].kind))]"
    assert {"mixture", "filter", "ensemble"}.isdisjoint(page.run(kinds))
    assert page.run("document.querySelectorAll('.lines > .line').length") == 6


def test_shift_scale_and_baseline_are_chosen(page):
    page.click_on("input[name=shift][value=imagenet-sketch] + span")
    page.click_on("input[name=scale][value=probit] + span")
    page.run("(() => { const select = document.querySelector('select'); select.value = 'pool:wit';"
             "select.dispatchEvent(new Event('change')); })()")  # fmt: skip
    text = page.run("document.querySelector('.grid').textContent")
    assert "ImageNet-Sketch accuracy (%)" in text and "probit scale" in text
    focus_model(page, "yfcc-mini_rn-1000000-0")
    assert "against wit" in card(page)
    shared = page.run("location.hash")
    assert shared == "#shift=imagenet-sketch&scale=probit&baseline=pool%3Awit"


def test_an_address_brings_the_view_back(browser, page, file):
    words = "#shift=imagenet-sketch&scale=linear&baseline=pool%3Awit&hide=laion%2Fmini_rn&off=bands&light=redcaps_wit"
    browser.open(file, words)
    assert page.run("[state.shift, state.scale, state.baseline, state.highlighted]") == [
        "imagenet-sketch", "linear", "pool:wit", "redcaps_wit",
    ]  # fmt: skip
    assert not any(name.startswith("laion-") for name in points(page))
    assert page.run("document.querySelectorAll('.bands > .band').length") == 0
    page.run("update({ scale: 'logit' })")
    assert page.run("location.hash") == words.replace("linear", "logit")
    browser.open(file, "#shift=nothing&scale=none&baseline=%3Cscript%3E&hide=nobody&light=nobody")
    assert page.run("[state.shift, state.scale, state.baseline, state.highlighted, state.hidden.size]") == [
        "imagenet-r", "logit", "standard_extended", None, 0,
    ]  # fmt: skip


def test_classes_are_offered_where_there_are_several(page):
    classes = "document.querySelector('[data-control=classes]').hidden"
    assert page.run(classes) is True
    page.click_on("input[name=shift][value=imagenet-r] + span")
    assert page.run(classes) is False
    focus_model(page, "wit-mini_rn-1000000-0")
    over_all = card(page)
    page.click_on("input[name=classes][value=shift] + span")
    focus_model(page, "wit-mini_rn-1000000-0")
    assert card(page) != over_all
    assert "over the classes of ImageNet-R" in page.run("document.querySelector('.grid').textContent")


@pytest.mark.parametrize("how", ["pointer", "keyboard"])
def test_card_says_what_the_table_says(page, how):
    name = "redcaps_wit-mini_rn-15000000-0"
    if how == "pointer":
        page.move(*place_of(page, name))
    else:
        focus_model(page, name)
    pairs = pair_with_reference(page_evaluations(), REFERENCE)
    row = pairs[(pairs["model"] == name) & (pairs["testset"] == "imagenet-v2")].iloc[0]
    low, high = clopper_pearson(row["correct"], row["n"], 0.995)
    text = card(page)
    for part in (name, "25 % redcaps + 75 % wit", "mini_rn · 15M samples · seed 0", "n = 10,000", "n = 50,000"):
        assert part in text
    assert f"ImageNet-V2 {written(row['value'])} % {written(low)} to {written(high)} %, n = 10,000" in text
    _, robustness = fit_trends(page_evaluations(), REFERENCE, SETTINGS, BASELINES)
    measured = robustness[(robustness["model"] == name) & (robustness["testset"] == "imagenet-v2")].iloc[0, -3:]
    value, low, high = (f"{number:+.1f}".replace("-", "−") for number in measured)
    assert f"Effective robustness {value} points {low} to {high} points against standard models, extended" in text
    assert page.run("card.getAttribute('aria-live')") == "polite"


def test_card_of_a_line(page):
    slope = page.run("currentView().lines[0].slope.toFixed(2)")
    page.move(*place_on_line(page, "yfcc"))
    assert "Trend of 4 models, on the logit scale" in card(page)
    assert f"slope {slope}" in card(page)


def test_keys_walk_along_trends_and_between_them(page):
    page.run("document.querySelector('#controls input[name=names]').focus()")
    page.press("Tab")
    assert focused(page) == "yfcc-mini_rn-1000000-0"
    page.press("ArrowRight")
    assert focused(page) == "yfcc-mini_rn-3000000-0"
    page.press("End")
    page.press("ArrowRight")
    assert focused(page) == "yfcc-mini_rn-15000000-0"
    page.press("ArrowDown")
    assert focused(page) == "laion-mini_rn-15000000-0"
    assert "laion-mini_rn-15000000-0" in card(page)
    ring = page.run("getComputedStyle(document.activeElement.querySelector('.ring')).strokeWidth")
    assert ring == "3px"
    # one stop for all points: the next is behind them
    page.press("Tab")
    assert focused(page) == "BUTTON"
    assert page.run("document.querySelectorAll('.point[tabindex=\"0\"]').length") == 1


def test_pools_are_hidden_and_shown(page):
    shown = "#legend button[aria-label='Show laion']"
    page.click_on(shown)
    assert page.run(f"document.querySelector(\"{shown}\").getAttribute('aria-pressed')") == "false"
    assert not any(name.startswith("laion-") for name in points(page))
    page.click_on(shown)
    assert sum(name.startswith("laion-") for name in points(page)) == 4
    page.run("document.querySelector('#choices button:nth-child(3)').click()")
    assert {name.split("-")[0] for name in points(page)} == {"yfcc_laion", "redcaps_wit"}
    page.run("document.querySelector('#choices button:nth-child(2)').click()")
    assert points(page) == []
    assert "No pool is shown" in page.run("document.getElementById('notes').textContent")


@pytest.mark.parametrize("how", ["legend", "line", "Enter"])
def test_a_mixture_lights_up_with_its_members(page, how):
    if how == "legend":
        page.click_on(POOL.format("redcaps_wit"))
    elif how == "line":
        page.click(*place_on_line(page, "redcaps_wit"))
    else:
        focus_model(page, "redcaps_wit-mini_rn-1000000-0")
        page.press("Enter")
    bright = {name.split("-")[0] for name in points(page, "!element.classList.contains('dim')")}
    assert bright == {"redcaps_wit", "redcaps", "wit"}
    lines = (
        "[...document.querySelectorAll('.lines > .line:not(.dim)')].map((one) => DATA.series[one.dataset.series].pool)"
    )
    assert set(page.run(lines)) == bright
    opacity = "getComputedStyle(document.querySelector('.point.dim')).opacity"
    assert float(page.run(opacity)) < 0.2
    pressed = "[...document.querySelectorAll('.pool[aria-pressed=true] .label')].map((one) => one.textContent)"
    assert page.run(pressed) == ["redcaps_wit"]
    page.press("Escape")
    assert points(page, "element.classList.contains('dim')") == []


def test_lighting_a_mixture_shows_what_was_hidden(page):
    page.run("document.querySelector('#choices button:nth-child(2)').click()")
    page.click_on(POOL.format("yfcc_laion"))
    assert {name.split("-")[0] for name in points(page)} == {"yfcc_laion", "yfcc", "laion"}


def test_table_has_every_model_that_is_shown(page):
    page.click_on("summary")
    page.wait_for("document.querySelector('#rows tbody') !== null")
    rows = "[...document.querySelectorAll('#rows tbody tr')].map((row) => row.cells[0].textContent)"
    assert sorted(page.run(rows)) == sorted(points(page))
    page.click_on("#legend button[aria-label='Show laion']")
    assert sorted(page.run(rows)) == sorted(points(page))
