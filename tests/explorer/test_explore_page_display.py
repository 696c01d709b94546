"""How the interactive scatter looks in a real browser: nothing overlaps, in every window, colour scheme and medium."""

import numpy as np
import pytest

from example_pages import EVERYTHING, page_evaluations, write_page


def test_everything_that_acts_has_a_name(page):
    unnamed = (
        "[...document.querySelectorAll('button, input, select, [role=button]')].filter((one) => "
        "!(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.[0]?.textContent.trim())).length"
    )
    assert page.run(unnamed) == 0
    assert page.run("document.documentElement.lang") == "en"


@pytest.mark.parametrize(("width", "height"), [(1600, 900), (1280, 720), (920, 500), (400, 800)])
@pytest.mark.parametrize("words", ["", "#shift=imagenet-r&classes=shift&scale=linear"])
def test_nothing_overlaps_and_nothing_leaves_the_window(browser, page, file, width, height, words):
    browser.open(file, words, size=(width, height))
    assert page.run("document.documentElement.scrollWidth") <= width
    boxes = page.run("[...chart.querySelectorAll('text')].map((one) => one.getBoundingClientRect())"
                     ".map((one) => [one.left, one.top, one.right, one.bottom])")  # fmt: skip
    assert len(boxes) > 10
    for place, one in enumerate(boxes):
        assert one[0] >= 0 and one[2] <= width
        for other in boxes[place + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 1 or other[3] <= one[1] + 1
            assert apart, (one, other)


PAINTED = """((colours) => { const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const probe = document.body.appendChild(document.createElement('i'));
return colours.map((colour) => { probe.style.color = colour; canvas.fillStyle = getComputedStyle(probe).color;
canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); }); })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_paper(browser, page, file, scheme):
    """The contrast of WCAG 2: 4.5 for words, 3 for what is drawn."""
    browser.open(file, EVERYTHING, prefers_color_scheme=scheme)
    words = "['--ink', '--muted', '--accent'].map((name) => `var(${name})`)"
    paper, *inks = page.run(f"{PAINTED}(['var(--paper)', ...{words}])")
    for ink in inks:
        assert contrast(paper, ink) >= 4.5
    drawn = page.run(
        f"{PAINTED}([...document.querySelectorAll('.lines > .line')].map((one) => getComputedStyle(one).color))"
    )
    assert len(drawn) == 8
    for colour in drawn:
        assert contrast(paper, colour) >= (3 if scheme == "dark" else 2), colour


def contrast(one: list[int], other: list[int]) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: list[int]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_dark_and_light_are_drawn(browser, page, file):
    brightness = {}
    for scheme in ("light", "dark"):
        browser.open(file, prefers_color_scheme=scheme)
        background = page.run("getComputedStyle(document.documentElement).backgroundColor")
        brightness[scheme] = sum(int(part) for part in background.strip("rgb()").split(","))
        assert len(browser.screenshot()) > 50_000
    assert brightness["light"] > 700 > 120 > brightness["dark"]


def test_hostile_names_stay_names(browser, page, tmp_path):
    name = "<img src=x onerror=alert(1)>\"'&</script>"
    evaluations = page_evaluations().replace({"pool": {"wit": name}})
    pools = [{"name": name, "kind": "source", "members": {}}]
    browser.open(write_page(tmp_path / "hostile.html", evaluations, pools))
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.querySelector('#legend .label').textContent") == name
    assert page.run("document.querySelectorAll('.lines > .line').length") == 1


def test_claims_are_linked_unless_the_page_stands_in_another(browser, page, file, tmp_path):
    link = "document.querySelector('header a').getAttribute('href') + document.querySelector('header a').hidden"
    assert page.run(link) == "claims.htmlfalse"
    around = tmp_path / "around.html"
    around.write_text(f'<iframe src="{file.as_uri()}" width="1200" height="700"></iframe>', encoding="utf-8")
    browser.open(around)
    assert browser.run_in_frame(link) == "claims.htmltrue"
    assert browser.run_in_frame("document.querySelectorAll('.lines > .line').length") == 6


def test_reduced_motion_and_print_are_respected(page):
    assert page.run("getComputedStyle(document.querySelector('.point')).transitionDuration") == "0s"
    page.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert page.run("getComputedStyle(document.getElementById('controls')).display") == "none"
        assert page.run("getComputedStyle(chart).display") == "block"
    finally:
        page.send("Emulation.setEmulatedMedia", media="")
