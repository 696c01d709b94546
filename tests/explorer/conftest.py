"""The interactive scatter of the example, in a browser."""

import pytest

from example_pages import EVERYTHING, write_page


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "explore.html")


@pytest.fixture
def page(browser, file):
    """The page, opened anew on its first shift with all pools.

    At the end nothing but itself was asked for, and nothing went wrong in it.
    """
    browser.requests.clear()
    browser.faults.clear()
    browser.open(file, EVERYTHING, prefers_color_scheme="light", prefers_reduced_motion="reduce")
    yield browser
    assert browser.faults == []
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "about", "data"}
    assert any(address.startswith("file:") for address in browser.requests)
