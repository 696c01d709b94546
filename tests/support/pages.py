"""The documentation as tests read it: commands, tables, code blocks and paths of Markdown pages."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CONFIG_README = ROOT / "config" / "README.md"
OUTPUTS = ROOT / "docs" / "outputs.md"
SLURM = ROOT / "docs" / "slurm.md"
DEPLOYMENT = ROOT / "docs" / "deployment.md"
PAGES = [README, CONFIG_README, OUTPUTS, SLURM, DEPLOYMENT]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are marked with `language`, or with none if it is empty."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    return [content for name, content in found if name == language]


def tables(page: Path) -> dict[str, list[list[str]]]:
    """The cells of each table row, headers left out, by the heading that the row stands under."""
    rows: dict[str, list[list[str]]] = {}
    heading = above = ""
    for line in text_of(page).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| ") and above.startswith("|"):
            rows.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split(" | ")])
        above = line
    return rows


def commands(page: Path) -> list[str]:
    """Every command that a page gives, in running text, tables or blocks."""
    text = text_of(page)
    return sorted({*re.findall(r"`(uv run [^`]+)`", text), *re.findall(r"^uv run [^#\n]*[^#\s]", text, re.MULTILINE)})


def files_to_write(page: Path) -> set[str]:
    """Files that a page tells the reader to write, which therefore need not exist."""
    text = text_of(page)
    return {*re.findall(r"A file `([^`]+)` with", text), *re.findall(r"Saved as `([^`]+)`", text), "<file>"}


def result_paths(page: Path) -> list[str]:
    """Paths under results/ that a page names, wherever it does."""
    return re.findall(r"results/[\w<>./…-]*[\w<>/]", text_of(page))
