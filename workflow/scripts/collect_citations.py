"""Collect what a run should cite: the paper, and the data sets, methods and tools that this experiment uses.

In:  resources/citations.bib, where the `keywords` of an entry say what uses it, and results/provenance.csv
Out: results/citations.bib, with the versions of tools: those that models record, or else those that are installed
"""

import csv
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lists.formats import GENERIC
from testbed.records.files import publish
from testbed.records.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake

TOOLS = (
    *("snakemake", "open_clip_torch", "clip_benchmark", "img2dataset", "webdataset"),
    *("torch", "duckdb", "matplotlib"),
)
"""Packages that every run uses."""

METHODS = ("clip", "effective_robustness", "trends")
CARD_METHODS = ("pool_words", "concepts")
"""Methods of the cards of pools, which an experiment may leave out."""

RECORDED = {"torch": "torch", "open_clip_torch": "open_clip", "clip_benchmark": "clip_benchmark"}
"""Tools whose versions are in results/provenance.csv, and their columns there."""

ENTRY = re.compile(r"^@(\w+)\{([\w-]+),\n((?:  \w+ = \{.*\},\n)+)\}\n", re.MULTILINE)
FIELD = re.compile(r"^  (\w+) = \{(.*)\},\n", re.MULTILINE)


class CitationError(ValueError):
    """The file of citations is invalid."""


def read_entries(path: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the entries of the BibTeX file at `path` by key: kind and fields.

    Raises `CitationError` for lines that are neither a comment nor an entry in the form of resources/citations.bib, for
    repeated keys or fields, for unbalanced braces, and for an entry without author, title or keywords.
    """
    text = path.read_text(encoding="utf-8")
    for line in ENTRY.sub("", text).splitlines():
        if line and not line.startswith("%"):
            raise CitationError(
                f"{path}: cannot read the entry around {line!r}. Its head says how entries are written."
            )
    entries = {}
    for kind, key, body in ENTRY.findall(text):
        pairs = FIELD.findall(body)
        fields = dict(pairs)
        if key in entries or len(fields) < len(pairs):
            raise CitationError(f"{path}: {key} is there twice, or has a field twice. Remove one.")
        if unbalanced := [name for name, value in pairs if not is_balanced(value)]:
            raise CitationError(f"{path}: {key}: the braces of {unbalanced[0]} are not balanced. Correct them.")
        if missing := {"author", "title", "keywords"} - set(fields):
            raise CitationError(f"{path}: {key}: has no {', '.join(sorted(missing))}. Add it.")
        entries[key] = kind, fields
    return entries


def is_balanced(value: str) -> bool:
    """Return whether the braces in `value` are balanced."""
    depth = 0
    for character in value:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def uses_of(experiment: dict) -> list[str]:
    """Return the keywords of what the `experiment` uses. The mini-web's data needs no citation."""
    formats = [entry.get("metadata", {}).get("format", "") for entry in experiment["sources"].values()]
    testsets = [
        "imagenet-c" if "corrupt" in entry else entry.get("retrieve", name)
        for name, entry in experiment["testsets"].items()
        if "miniweb" not in entry
    ]
    filters = [entry["method"] for entry in experiment.get("filters", {}).values()]
    return [
        "paper",
        *(f"method:{name}" for name in METHODS),
        *(f"method:{name}" for name in CARD_METHODS if experiment.get("cards", {}).get("make")),
        *(f"format:{name}" for name in formats if name and name not in GENERIC),
        *(f"testset:{name}" for name in testsets),
        *(f"filter:{name}" for name in filters),
        *(f"tool:{name}" for name in TOOLS),
    ]


def own_data(experiment: dict) -> list[str]:
    """Return the names of the user's own sources and test sets, which have no entry."""
    own = [
        name
        for name, entry in experiment["sources"].items()
        if "metadata" not in entry or entry["metadata"].get("format") in GENERIC
    ]
    return own + [name for name, entry in experiment["testsets"].items() if "path" in entry]


def tool_versions(provenance: Path) -> dict[str, str]:
    """Return the versions of `TOOLS` from the table `provenance`, or else the installed ones, if any."""
    with open(provenance, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    versions = {}
    for tool in TOOLS:
        cells = [row[RECORDED[tool]].split("; ") for row in rows] if tool in RECORDED else []
        recorded = sorted({part for cell in cells for part in cell if part})
        try:
            versions[tool] = ", ".join(recorded) or version(tool)
        except PackageNotFoundError:
            continue
    return versions


def format_entry(kind: str, key: str, fields: dict[str, str], versions: dict[str, str]) -> str:
    """Return one entry as BibTeX, without its keywords; the entry of a tool has its version."""
    words = fields["keywords"].split(", ")
    used = [versions[word.removeprefix("tool:")] for word in words if word.removeprefix("tool:") in versions]
    shown = {name: value for name, value in fields.items() if name != "keywords"}
    if used:
        shown["note"] = f"Version {used[0]} was used"
    return f"@{kind}{{{key},\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in shown.items()) + "}\n"


def collect_citations(library: Path, provenance: Path, experiment: dict, output: Path) -> None:
    """Write the entries of `library` that `experiment` uses to `output`, in the library's order."""
    uses = set(uses_of(experiment))
    versions = tool_versions(provenance)
    entries = [
        format_entry(kind, key, fields, versions)
        for key, (kind, fields) in read_entries(library).items()
        if uses & set(fields["keywords"].split(", "))
    ]
    head = [f"% What a publication of the experiment {experiment['experiment']} should cite."]
    head += [f"% {name} is data of your own: cite where it comes from." for name in own_data(experiment)]
    temporary = output.with_name(f".{output.name}.tmp")
    temporary.write_text("\n".join([*head, "", *entries]), encoding="utf-8")
    publish(temporary, output)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    collect_citations(
        Path(snakemake.input.library),
        Path(snakemake.input.provenance),
        dict(snakemake.params.experiment),
        Path(snakemake.output.citations),
    )
