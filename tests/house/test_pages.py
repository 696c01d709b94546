"""The site: MkDocs makes one page of every page of the repository, and none of them twice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages import PAGES, ROOT, page_id, text_of


def build(config: Path, folder: Path) -> subprocess.CompletedProcess:
    """MkDocs' strict build of a configuration into `folder`: a link or an anchor that leads nowhere is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", folder]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    result = build(ROOT / "mkdocs.yml", folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_every_page_is_on_the_site_once(site):
    made = {str(path.parent.relative_to(site)) for path in site.rglob("index.html")}
    assert made == {page_id(page).removesuffix(".md").removesuffix("README").rstrip("/") or "." for page in PAGES}


def test_files_that_pages_link_to_are_on_the_site(site):
    for path in ("docs/effective_robustness.png", "resources/sources.csv", "resources/citations.bib", "LICENSE"):
        assert (site / path).read_bytes() == (ROOT / path).read_bytes()


def test_the_site_asks_no_other_server_for_fonts_or_scripts(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text and "fonts.googleapis" not in text, page


def test_links_that_lead_nowhere_fail(tmp_path):
    for name in ("docs", "config", "resources", "CITATION.cff", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    links = "[page](docs/nowhere.md) [heading](docs/limits.md#nowhere) [file](resources/nowhere.csv)"
    (tmp_path / "README.md").write_text(f"{text_of(ROOT / 'README.md')}\n{links}\n", encoding="utf-8")
    result = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert result.returncode != 0
    assert all(words in result.stderr for words in ("docs/nowhere.md", "#nowhere", "resources/nowhere.csv")), (
        result.stderr
    )
