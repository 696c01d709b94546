"""The mini-web's lists: shares, invalid rows, released formats, determinism."""

import gzip
import json
import re
from collections import Counter
from urllib.parse import urlsplit

import numpy as np
import pytest
from pyarrow import parquet

from make_miniweb import draw_source, make_source
from testbed.miniweb.captions import TERMS
from testbed.miniweb.lists import WIT_COLUMNS
from testbed.miniweb.pages import BEHAVIOURS, FAULTS, WITHOUT_IMAGE
from testbed.miniweb.rows import INVALID_ROWS, UNUSUAL_ROWS, draw_rows
from testbed.miniweb.world import CLASSES, SOURCES
from testbed.records.manifest import problem, read_json

KINDS = list(SOURCES)
NAMES = {label.name for label in CLASSES}


def made(folder, kind, pairs=300, seed=5):
    make_source(kind, pairs, seed, folder / "manifest.json")
    return read_json(folder / "manifest.json")


@pytest.mark.parametrize("kind", KINDS)
def test_equal_arguments_give_equal_bytes(tmp_path, kind):
    first = made(tmp_path / "a", kind)
    again = made(tmp_path / "b", kind)
    other = made(tmp_path / "c", kind, seed=6)
    assert first == again
    assert first["list"] != other["list"]
    assert first["pages"]["sha256"] != other["pages"]["sha256"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_manifest_records_every_file(tmp_path, kind):
    manifest = made(tmp_path, kind)
    for entry in [*manifest["list"], manifest["pages"]]:
        assert problem(tmp_path, entry) is None
    assert sorted(path.name for path in (tmp_path / "list").iterdir()) == sorted(
        entry["name"].removeprefix("list/") for entry in manifest["list"]
    )
    assert manifest["rows"] == manifest["pairs"] + sum(manifest["traps"].values())
    assert sum(manifest["behaviours"].values()) == manifest["pages"]["rows"]


def test_a_shorter_list_leaves_no_file_of_a_longer_one(tmp_path):
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "part-00099.snappy.parquet").write_text("left behind")
    made(tmp_path, "laion")
    assert len(list((tmp_path / "list").iterdir())) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_pairs_and_each_kind_of_trap(kind):
    source = draw_source(kind, 300, 5)
    usable = [(row.url, row.expected) for row in source.rows if not row.cause]
    assert len(usable) == len(set(usable)) == 300
    assert {row.cause for row in source.rows} - {""} == set(INVALID_ROWS[kind])
    pages = {page.url for page in source.pages}
    assert len(pages) == len(source.pages)
    assert {url for url, _ in usable} == pages
    if "repeat" in UNUSUAL_ROWS[kind]:
        assert len(pages) < 300


def test_an_image_that_is_shown_again_has_another_caption():
    page = draw_source("wit", 20, 5).pages[0]
    rows = draw_rows("wit", [page], 400, np.random.default_rng(0))
    captions = [row.expected for row in rows if not row.cause]
    assert len(captions) == len(set(captions)) == 400


@pytest.mark.parametrize("kind", KINDS)
def test_a_duplicate_comes_after_its_original(kind):
    seen = set()
    for row in draw_source(kind, 300, 5).rows:
        assert row.cause != "duplicate" or (row.url, row.expected) in seen
        if not row.cause:
            seen.add((row.url, row.expected))


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_possible_and_cannot_be_reached_from_outside(kind):
    pages = draw_source(kind, 300, 5).pages
    for page in pages:
        assert page.url.startswith("http://") and urlsplit(page.url).hostname.endswith(".test")
        assert page.url.isascii() and " " not in page.url
        assert (page.label == "") == (page.domain == "junk") and page.label in NAMES | {""}
        assert 0 <= page.seed < 2**63 and 64 <= page.size <= 96
        assert page.behaviour in BEHAVIOURS
        assert page.format == "jpeg" if page.behaviour == "truncated" else page.format in ("jpeg", "png", "webp")
    assert len({(page.label, page.domain, page.seed) for page in pages}) < len(pages)


def test_pages_of_all_sources_have_addresses_of_their_own():
    urls = [page.url for kind in KINDS for page in draw_source(kind, 300, 5).pages]
    assert len(set(urls)) == len(urls)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_those_of_the_source(kind):
    count = 6000
    source = draw_source(kind, count, 1)
    pages = {page.url: page for page in source.pages}
    domains = Counter(page.domain for page in source.pages)
    assert {name: domains[name] / len(pages) for name in domains} == pytest.approx(SOURCES[kind].domains, abs=0.03)
    labels = Counter(page.label for page in source.pages if page.label)
    assert set(labels) == NAMES and max(labels.values()) < 1.5 * min(labels.values())
    behaviours = Counter(page.behaviour for page in source.pages)
    for name, share in FAULTS[kind].items():
        assert behaviours[name] / len(pages) == pytest.approx(share, abs=0.015)
    lost = sum(behaviours[name] for name in WITHOUT_IMAGE) / len(pages)
    assert 0.06 < lost < 0.12 or kind == "imagenet"
    assert all(behaviours[name] for name in FAULTS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_as_often_right_and_as_casual_as_the_source_s(kind):
    profile = SOURCES[kind]
    source = draw_source(kind, 6000, 1)
    pages = {page.url: page for page in source.pages}
    words = {label.name: dict(zip(TERMS, (label.name, label.casual, label.formal), strict=True)) for label in CLASSES}
    shown = [
        (row.expected.lower(), pages[row.url].label) for row in source.rows if not row.cause and pages[row.url].label
    ]
    right = Counter(
        next((term for term in reversed(TERMS) if re.search(rf"\b{words[label][term]}\b", text)), "wrong")
        for text, label in shown
    )
    share = 1 - right["wrong"] / len(shown)
    assert share == pytest.approx(1 - profile.mismatch - profile.vague, abs=0.03)
    terms = [right[term] / (len(shown) - right["wrong"]) for term in TERMS]
    assert terms == pytest.approx(list(profile.terms), abs=0.04)


def test_tab_separated_lists_have_no_header_and_keep_their_oddities(tmp_path):
    for kind, name in [("yfcc", "yfcc.tsv"), ("cc12m", "cc12m.tsv"), ("shutterstock", "shutterstock.csv")]:
        made(tmp_path / kind, kind)
        lines = (tmp_path / kind / "list" / name).read_bytes().splitlines()
        assert lines[0].startswith(b"http://")
        captions = [line.split(b"\t", 1)[1] for line in lines if line.count(b"\t") == 1]
        assert {b"NA", b"null", b""} <= set(captions)
        assert any(caption.startswith(b'"') for caption in captions)
        assert any(line.count(b"\t") != 1 or b"\xe9" in line for line in lines)
        assert any(caption.endswith(rb"\t") for caption in captions) == (kind == "shutterstock")


def test_laion_is_several_parquet_files_with_the_released_columns(tmp_path):
    made(tmp_path, "laion")
    files = sorted((tmp_path / "list").iterdir())
    tables = [parquet.read_table(file) for file in files]
    assert len(files) > 1
    for table in tables:
        assert table.column_names == ["SAMPLE_ID", "URL", "TEXT", "LICENSE", "NSFW", "similarity", "WIDTH", "HEIGHT"]
    assert {value for table in tables for value in table["NSFW"].to_pylist()} == {"UNLIKELY", "UNSURE", "NSFW"}


def test_wit_is_several_packed_files_with_the_released_header(tmp_path):
    made(tmp_path, "wit")
    files = sorted((tmp_path / "list").iterdir())
    assert len(files) > 1 and len(WIT_COLUMNS) == 17
    languages, captions = set(), []
    for file in files:
        content = file.read_bytes()
        assert content[4:8] == bytes(4), "a time stamp would make the bytes differ between runs"
        lines = gzip.decompress(content).split(b"\n")
        assert lines[0].decode().split("\t") == list(WIT_COLUMNS)
        cells = [line.split(b"\t") for line in lines[1:]]
        languages |= {row[0] for row in cells if len(row) == 17}
        captions += [row[6] for row in cells if len(row) == 17]
    assert {b"en", b"de"} <= languages
    assert captions.count(b"") > 20


def test_redcaps_is_one_json_file_per_subreddit_and_year(tmp_path):
    made(tmp_path, "redcaps")
    files = sorted((tmp_path / "list").iterdir())
    assert len(files) > 1
    keys = ["image_id", "author", "url", "raw_caption", "caption", "subreddit", "score", "created_utc", "permalink"]
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        assert list(content) == ["info", "annotations"]
        whole = [entry for entry in content["annotations"] if "url" in entry]
        assert whole and all(list(entry) == keys for entry in whole)
        assert {f"{entry['subreddit']}" for entry in whole} == {file.stem.rpartition("_")[0]}


def test_what_the_miniweb_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="coyo.*yfcc, laion"):
        made(tmp_path, "coyo")
    with pytest.raises(ValueError, match="19 is too few"):
        made(tmp_path, "yfcc", pairs=19)
    assert not list(tmp_path.iterdir())
