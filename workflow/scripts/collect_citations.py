"""Collect what a run should cite: the paper, and the data sets, methods and tools that this experiment uses.

In:  resources/citations.bib, whose `keywords` say what an entry stands for, and results/provenance.csv
Out: results/citations.bib, with the tools' versions: those that models record, or else those that are installed
"""

import csv
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lists.released import GENERIC
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

RECORDED = {"torch": "torch", "open_clip_torch": "open_clip", "clip_benchmark": "clip_benchmark"}
"""Tools whose versions stand in results/provenance.csv, and their columns there."""

ENTRY = re.compile(r"^@(\w+)\{([\w-]+),\n((?:  \w+ = \{.*\},\n)+)\}\n", re.MULTILINE)
FIELD = re.compile(r"^  (\w+) = \{(.*)\},\n", re.MULTILINE)


class CitationError(ValueError):
    """The file of citations cannot be read, or lacks an entry."""


def read_entries(path: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """The entries of the BibTeX file at `path` by their keys: kind and fields.

    Raises `CitationError` for what is neither an entry in the form of resources/citations.bib nor a comment, for keys or
    fields that are there twice, for braces that do not pair, and for an entry without author, title or keywords.
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
            raise CitationError(f"{path}: {key} is there twice, or has a field twice. Leave one out.")
        if broken := [name for name, value in pairs if not is_balanced(value)]:
            raise CitationError(f"{path}: {key}: the braces of {broken[0]} do not pair. Correct them.")
        if missing := {"author", "title", "keywords"} - set(fields):
            raise CitationError(f"{path}: {key}: has no {', '.join(sorted(missing))}. Add it.")
        entries[key] = kind, fields
    return entries


def is_balanced(value: str) -> bool:
    """Whether every brace in `value` has its partner."""
    depth = 0
    for character in value:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def uses_of(experiment: dict) -> list[str]:
    """What the `experiment` uses, in the words of the entries' keywords; the mini-web's drawings are nobody's data."""
    formats = [entry["metadata"].get("format", "") for entry in experiment["sources"].values()]
    testsets = [
        "imagenet-c" if "corrupt" in entry else entry.get("retrieve", name)
        for name, entry in experiment["testsets"].items()
        if "miniweb" not in entry
    ]
    filters = [entry["method"] for entry in experiment.get("filters", {}).values()]
    return [
        "paper",
        *(f"method:{name}" for name in METHODS),
        *(f"format:{name}" for name in formats if name and name not in GENERIC),
        *(f"testset:{name}" for name in testsets),
        *(f"filter:{name}" for name in filters),
        *(f"tool:{name}" for name in TOOLS),
    ]


def own_data(experiment: dict) -> list[str]:
    """Names of sources and test sets of the user's own, for which no entry can be known."""
    own = [name for name, entry in experiment["sources"].items() if entry["metadata"].get("format") in GENERIC]
    return own + [name for name, entry in experiment["testsets"].items() if "path" in entry]


def tool_versions(provenance: Path) -> dict[str, str]:
    """The versions of `TOOLS`: what the table `provenance` says, or else what is installed; others are left out."""
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
    """One entry as BibTeX, without its keywords; that of a tool with its version."""
    words = fields["keywords"].split(", ")
    used = [versions[word.removeprefix("tool:")] for word in words if word.removeprefix("tool:") in versions]
    shown = {name: value for name, value in fields.items() if name != "keywords"}
    if used:
        shown["note"] = f"Version {used[0]} was used"
    return f"@{kind}{{{key},\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in shown.items()) + "}\n"


def collect_citations(library: Path, provenance: Path, experiment: dict, output: Path) -> None:
    """Write those entries of `library` to `output` that `experiment` uses, in the library's order."""
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
