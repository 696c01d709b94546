"""The accuracy by similarity below the interactive scatter, in a browser."""

import pytest

from example_pages import EVERYTHING, SOURCES, similarities, write_page

LINES = "document.querySelectorAll('#near-chart .line').length"
MARKS = "document.querySelectorAll('#near-chart .mark').length"
HIDDEN = "document.getElementById('near').hidden"


@pytest.fixture(scope="module")
def similar_file(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("similar") / "explore.html", similarity=similarities())


def test_the_pools_that_are_shown_are_drawn_on_the_shift_that_is_shown(browser, similar_file):
    browser.open(similar_file, EVERYTHING)
    assert browser.run(HIDDEN) is False
    # A line for each of eight pools, of one size each, and no point of 19 images.
    assert browser.run(LINES) == 8
    assert browser.run(MARKS) == 8 * 5 - 1
    text = browser.run("document.getElementById('near').textContent")
    assert "ImageNet-V2 accuracy (%)" in text and "embeddings of a teacher" in text
    title = browser.run("document.querySelector('#near-chart title').textContent")
    assert (
        title == f"{SOURCES[0]}, 3M samples: 0.0 % (-1.0 to 1.0 %) of 400 images with a similarity of 0.500 on average"
    )
    ticks = browser.run("[...document.querySelectorAll('#near-chart .tick text')].map((one) => one.textContent)")
    assert len(ticks) == len(set(ticks)) >= 6
    browser.run(f"toggleShown(DATA.series.find((one) => one.pool === '{SOURCES[1]}'))")
    assert browser.run(LINES) == 7
    browser.run("update({ intervals: false })")
    assert browser.run("document.querySelectorAll('#near-chart .bar').length") == 0
    browser.run("update({ shift: 'imagenet-r' })")
    assert (browser.run(LINES), browser.run(MARKS)) == (1, 1)
    browser.run("update({ shift: 'imagenet-a' })")
    assert browser.run(HIDDEN) is True
    assert browser.faults == []


@pytest.mark.parametrize("width", [1600, 400])
def test_the_chart_stays_within_the_page(browser, similar_file, width):
    browser.open(similar_file, EVERYTHING, size=(width, 900))
    outside = (
        "[...document.querySelectorAll('#near-chart .mark, #near-chart text')].filter((one) => {"
        "const box = one.getBoundingClientRect(); return box.left < 0 || box.right > window.innerWidth }).length"
    )
    assert browser.run(outside) == 0
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth") is True


def test_without_similarities_there_is_no_section(page):
    assert page.run(HIDDEN) is True
