"""What a run cites: only what it used, in BibTeX that parses; and the library of entries itself."""

import csv
import re

import pytest

from collect_citations import TOOLS, CitationError, collect_citations, read_entries, tool_versions, uses_of
from experiments import ROOT, changed, load, read
from testbed.lists.formats import FORMATS, GENERIC
from testbed.lists.sources import released_sources
from trace_provenance import TABLE_COLUMNS

LIBRARY = ROOT / "resources" / "citations.bib"
KINDS = {"article", "inproceedings", "misc"}
NEEDED = {"article": {"journal", "year"}, "inproceedings": {"booktitle", "year"}, "misc": {"title"}}
AUTHOR = re.compile(r"[^,]+, [^,]+")


def keywords(name: str) -> set[str]:
    return set(read_entries(LIBRARY)[name][1]["keywords"].split(", "))


def provenance(folder, **cells):
    """A table of provenance of two models."""
    path = folder / "provenance.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TABLE_COLUMNS)
        writer.writeheader()
        writer.writerows([{"torch": "2.1", "open_clip": "", "clip_benchmark": "1.6"} | cells, {"torch": "2.1"}])
    return path


def cited(folder, config, **cells) -> set[str]:
    """Keys of the entries that an experiment cites; what is written is read as strictly as the library."""
    output = folder / "citations.bib"
    collect_citations(LIBRARY, provenance(folder, **cells), config, output)
    text = output.read_text(encoding="utf-8")
    assert "keywords" not in text
    with_keywords = folder / "again.bib"
    with_keywords.write_text(re.sub(r",\n\}\n", ",\n  keywords = {x},\n}\n", text), encoding="utf-8")
    return set(read_entries(with_keywords))


def test_the_library_has_an_entry_for_all_that_can_be_used():
    named = {word for key in read_entries(LIBRARY) for word in keywords(key)}
    assert {f"format:{name}" for name in FORMATS if name not in GENERIC} <= named
    with open(ROOT / "resources" / "testsets.csv", newline="", encoding="utf-8") as file:
        assert {f"testset:{row['retrieve']}" for row in csv.DictReader(file)} <= named
    assert {"testset:imagenet-c", *(f"tool:{name}" for name in TOOLS)} <= named
    for name in ("demo", "paper"):
        assert set(uses_of(load(read(name)).config)) <= named


def test_the_library_speaks_of_nothing_that_does_not_exist():
    named = {tuple(word.split(":")) for key in read_entries(LIBRARY) for word in keywords(key) if ":" in word}
    assert {kind for kind, _ in named} == {"method", "format", "testset", "filter", "tool"}
    assert {name for kind, name in named if kind == "format"} == set(released_sources(ROOT / "resources/sources.csv"))
    assert {name for kind, name in named if kind == "tool"} == set(TOOLS)


@pytest.mark.parametrize("key", read_entries(LIBRARY))
def test_entries_have_what_their_kind_needs(key):
    kind, fields = read_entries(LIBRARY)[key]
    assert kind in KINDS and NEEDED[kind] <= set(fields)
    assert all(AUTHOR.fullmatch(author) for author in fields["author"].split(" and ")), fields["author"]
    assert all(value.isascii() and value == value.strip() for value in fields.values())
    assert re.fullmatch(r"(19|20)\d\d", fields.get("year", "2000"))


def test_the_demo_cites_no_data_of_others(tmp_path):
    assert cited(tmp_path, load(read("demo")).config) == {
        *("nguyen2022quality", "radford2021learning", "taori2020measuring", "miller2021accuracy"),
        *("molder2021sustainable", "ilharco2021openclip", "cherti_clip_benchmark", "beaumont2021img2dataset"),
        *("breuel_webdataset", "ansel2024pytorch", "raasveldt2019duckdb", "hunter2007matplotlib"),
        # the methods of its filters
        *("xu2023demystifying", "gadre2023datacomp"),
        # what the cards of its pools compute
        *("monroe2008fightin", "udandarao2024zero"),
    }


def test_the_paper_cites_its_sources_and_test_sets(tmp_path):
    demo = cited(tmp_path, load(read("demo")).config)
    assert cited(tmp_path, load(read("paper")).config) - demo == {
        *("thomee2016yfcc100m", "schuhmann2021laion", "changpinyo2021cc12m", "desai2021redcaps", "srinivasan2021wit"),
        *("russakovsky2015imagenet", "recht2019imagenet", "hendrycks2021many", "wang2019learning"),
        "barbu2019objectnet",
    }


def test_corrupted_sets_cite_their_method_and_own_data_is_named(tmp_path):
    own = {"metadata": {"path": "x.csv", "format": "csv", "columns": {}}, "samples": 10}
    config = changed(
        sources__mine=own,
        testsets__noisy={"corrupt": {"kind": "fog", "severity": 1}},
        testsets__plankton={"path": "data/plankton"},
        filters={"balanced": {"from": "mine", "method": "metaclip"}},
    )
    keys = cited(tmp_path, config)
    assert {"hendrycks2019benchmarking", "xu2023demystifying"} <= keys
    assert "gadre2023datacomp" not in keys
    head = (tmp_path / "citations.bib").read_text().split("@")[0]
    assert "% mine is data of your own" in head and "% plankton is data of your own" in head


def test_tools_have_the_versions_that_models_record_or_else_those_installed(tmp_path):
    versions = tool_versions(provenance(tmp_path, torch="2.0; 2.1"))
    assert (versions["torch"], versions["clip_benchmark"]) == ("2.0, 2.1", "1.6")
    assert versions["open_clip_torch"].count(".") >= 1
    cited(tmp_path, load(read("demo")).config, torch="2.0; 2.1")
    text = (tmp_path / "citations.bib").read_text()
    assert "note = {Version 2.0, 2.1 was used}" in text and "note = {Version 1.6 was used}" in text


GOOD = "@misc{a,\n  author = {B, C},\n  title = {D},\n  keywords = {paper},\n}\n"


def test_a_sound_library_is_read(tmp_path):
    (tmp_path / "x.bib").write_text(f"% a comment\n\n{GOOD}")
    assert read_entries(tmp_path / "x.bib") == {"a": ("misc", {"author": "B, C", "title": "D", "keywords": "paper"})}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (GOOD.replace("{paper},", "{paper"), "cannot read"),
        (GOOD.replace("{D},", "{D}"), "cannot read"),
        (GOOD[:-2], "cannot read"),
        (GOOD.replace("{D}", "{D{}"), "are not balanced"),
        (GOOD.replace("{D}", "{}D{}"), "are not balanced"),
        (GOOD + GOOD, "twice"),
        (GOOD.replace("  title", "  author = {E, F},\n  title"), "twice"),
        (GOOD.replace("  keywords = {paper},\n", ""), "has no keywords"),
        (GOOD + "stray\n", "stray"),
    ],
)
def test_a_library_that_is_not_sound_is_refused(tmp_path, text, cause):
    (tmp_path / "x.bib").write_text(text)
    with pytest.raises(CitationError, match=cause):
        read_entries(tmp_path / "x.bib")
