"""The page of claims in a real browser: on a phone it is as wide as the screen, and it leads back to the explorer."""

import pytest

from check_claims import check_claims, claims_page
from example_claims import run
from example_evaluations import REFERENCE
from example_pages import write_page
from testbed.statistics.settings import Settings

SOURCES = [{"name": name, "kind": "source"} for name in ("mini_shutterstock", "mini_redcaps", "a" * 60)]
PHONE = (390, 844)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The page beside that of the explorer, as in results/report/."""
    folder = tmp_path_factory.mktemp("report")
    heights = {source["name"]: (height, -height) for height, source in enumerate(SOURCES)}
    named = [{"best": [SOURCES[0]["name"]], "shift": "one"}]
    claims = check_claims(run(heights), SOURCES, REFERENCE, named, Settings())
    (folder / "claims.html").write_text(claims_page(claims, Settings()), encoding="utf-8")
    write_page(folder / "explore.html")
    return folder / "claims.html"


@pytest.mark.parametrize("width", [320, 390, 1600])
def test_the_page_is_as_wide_as_the_screen(browser, file, width):
    browser.open(file, size=(width, 844))
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.run("document.documentElement.scrollWidth") == width
    # What does not fit is reached by scrolling the table alone.
    assert browser.run("[...document.querySelectorAll('.scroll')].every((one) => one.scrollWidth >= one.clientWidth)")
    assert browser.run("document.querySelectorAll('.scroll td').length") > 50


def test_the_page_leads_to_the_explorer_and_back(browser, file):
    browser.open(file, size=PHONE)
    browser.click_on("a[href='explore.html']")
    browser.wait_for("location.pathname.endsWith('/explore.html') && document.querySelector('.point') !== null")
    browser.click_on("a[href='claims.html']")
    browser.wait_for("location.pathname.endsWith('/claims.html')")
