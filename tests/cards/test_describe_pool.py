"""What is counted of a pool, against counts by hand."""

import hashlib
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from describe_pool import words_table
from example_cards import CLASSES, SAMPLING, captions, describe, draw, page_of, with_column, write_example
from filter_tables import table_of
from list_samples import list_samples
from local_runs import FileSource
from mini_parts import make_rows, write_downloads
from tars import write_folder
from testbed.cards.classes import ClassNames
from testbed.cards.drawn import Repeats, Smallest
from testbed.cards.images import is_flagged
from testbed.cards.measures import MEASURES, count_bins, quantiles_of
from testbed.cards.outcomes import Hosts, count_endings, describe_downloads, describe_list, describe_rewriting, hosts_of
from testbed.records.manifest import read_json, write_json


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("example"))


def test_a_source_is_counted_as_by_hand(example):
    description, _, sheet = describe(example[0])
    (group,) = description["groups"]
    listed = captions()
    assert description["samples"] == group["samples"] == len(listed)
    words = Counter(len(caption.split()) for caption in listed)
    counts = group["measures"]["words"]["counts"]
    assert {bin - 1: count for bin, count in enumerate(counts) if count} == words
    assert sum(group["measures"]["characters"]["counts"]) == len(listed)
    # One caption has more characters than the last edge.
    assert group["measures"]["characters"]["counts"][-1] == 1
    assert group["repeated_captions"] == pytest.approx(1 - len(set(listed)) / len(listed), abs=1e-6)
    often = Counter(listed).most_common(4)
    assert {entry["caption"]: entry["samples"] for entry in group["most_repeated"]} == dict(often)
    assert sum(group["languages"].values()) == group["drawn_captions"] == len(listed)
    # A dog, two dogs, a cat, and the dog behind an override; ice cream in capitals; nobody names a crane.
    assert group["named"] == [21, 10, 10, 0, 0]
    assert group["naming"] == 31
    assert group["predicted"] is None
    assert group["url_endings"] == {"jpg": len(listed)}
    assert len(sheet) == len(listed) and sheet["uid"].to_pylist() == sorted(sheet["uid"].to_pylist())


def test_decoded_images_are_the_first_by_uid(example):
    description, *_ = describe(example[0], sampling=SAMPLING | {"images": 2})
    (group,) = description["groups"]
    uids = table_of(example[0])["uid"].to_pylist()
    first = sorted(range(len(uids)), key=lambda place: uids[place])[:30]
    assert group["decoded_images"] == 30
    assert group["grey_images"] == sum(number % 3 == 0 for number in first)
    sizes = [len(draw(number)) for number in first]
    assert group["measures"]["bytes"]["median"] == np.median(sizes)


def test_a_filter_is_what_it_keeps_and_what_it_drops(example):
    description, words, sheet = describe(example[1], example[0])
    kept, dropped = description["groups"]
    assert [kept["name"], dropped["name"]] == ["kept", "dropped"]
    assert description["samples"] == kept["samples"] == len(table_of(example[1]))
    assert kept["samples"] + dropped["samples"] == len(captions())
    whole = describe(example[0])[0]["groups"][0]
    for name in MEASURES:
        if name != "bytes":
            both = np.add(kept["measures"][name]["counts"], dropped["measures"][name]["counts"])
            assert both.tolist() == whole["measures"][name]["counts"]
    assert np.add(kept["named"], dropped["named"]).tolist() == whole["named"]
    assert all(count == 0 for count in kept["measures"]["words"]["counts"][: 4 + 1])
    assert Counter(sheet["group"].to_pylist())["dropped"] == min(48, dropped["samples"])
    # What is repeated most is looked up in the whole table, of either group.
    assert dropped["most_repeated"] == [{"caption": "nothing here", "samples": 10}]
    assert set(words) == {"kept", "dropped"}


def test_a_filter_that_keeps_all_has_one_group(example):
    description, *_ = describe(example[0], example[0])
    assert [group["name"] for group in description["groups"]] == ["kept"]


def test_the_teachers_view_is_counted_by_group(example, tmp_path):
    table = table_of(example[0])
    rows = [file.name for file in sorted(example[0].glob("[0-9]*.parquet"))]
    files, start = [], 0
    for name in rows:
        count = parquet.read_metadata(example[0] / name).num_rows
        seen = pa.table({"reference_class": [CLASSES[place % 2] for place in range(start, start + count)]})
        parquet.write_table(seen, tmp_path / name)
        files.append({"name": name, "bytes": (tmp_path / name).stat().st_size, "rows": count})
        start += count
    write_json(tmp_path / "manifest.json", {"files": files})
    kept, dropped = describe(example[1], example[0], scores=tmp_path)[0]["groups"]
    assert np.add(kept["predicted"], dropped["predicted"]).tolist()[:2] == [-(-len(table) // 2), len(table) // 2]
    assert sum(kept["predicted"]) == kept["samples"]


def test_equal_pools_have_equal_descriptions(example):
    first, second = (describe(example[1], example[0]) for _ in range(2))
    assert first[0] == second[0] and first[2].equals(second[2])
    assert words_table(first[1]).equals(words_table(second[1]))


def test_flags_of_lists_are_found(tmp_path):
    samples, _ = write_example(tmp_path)
    values = ["NSFW" if number % 2 else "UNLIKELY" for number in range(len(captions()))]
    with_column(samples, "NSFW", values)
    description, _, sheet = describe(samples)
    (group,) = description["groups"]
    assert group["flags"] == ["NSFW"] and group["flagged"] == values.count("NSFW")
    marked = dict(zip(table_of(samples)["uid"].to_pylist(), values, strict=True))
    assert [marked[uid] == "NSFW" for uid in sheet["uid"].to_pylist()] == sheet["flagged"].to_pylist()


@pytest.mark.parametrize(
    ("value", "flagged"),
    [("NSFW", True), ("unsure", True), ("UNLIKELY", False), (True, True), (False, False), (0.7, True), (0.2, False)]
    + [(None, False), ("", False)],
)
def test_flags_are_words_switches_or_probabilities(value, flagged):
    assert is_flagged({"punsafe": value}, ["punsafe"]) is flagged


def test_classes_are_named_in_any_case_and_with_an_s():
    names = ClassNames(["dog", "hot dog", "T-shirt", "dog", ""])
    texts = ["Dogs!", "a HOT DOG, please", "dogged", "t-shirts and dogs", ""]
    counts, naming = names.find(pa.chunked_array([texts]))
    assert counts.tolist() == [3, 1, 1, 3, 0]
    assert naming == 3


def test_the_smallest_uids_do_not_depend_on_the_order_of_tables():
    uids = [hashlib.md5(str(number).encode()).hexdigest() for number in range(500)]
    for order in (uids, uids[::-1], sorted(uids)):
        smallest = Smallest(20)
        for start in range(0, 500, 30):
            smallest.add(pa.table({"uid": order[start : start + 30]}))
        assert smallest.rows()["uid"].to_pylist() == sorted(uids)[:20]
    assert Smallest(3).rows() is None


def test_repeats_among_a_part_of_the_hashes_are_those_of_all(monkeypatch):
    values = [str(number % 5000) for number in range(20_000)]
    monkeypatch.setattr("testbed.cards.drawn.MOST_HASHES", 4000)
    repeats = Repeats(len(values))
    for start in range(0, len(values), 1000):
        repeats.add(pa.chunked_array([values[start : start + 1000]]), start + np.arange(1000))
    share, often = repeats.result(3)
    assert share == pytest.approx(0.75, abs=0.001)
    assert [count for _, count in often] == [4, 4, 4]
    assert sum(len(hashes) for hashes in repeats.hashes) < 6000


def test_unknown_sizes_are_not_counted():
    assert count_bins("side", [np.nan, 9.0]).sum() == 1
    assert quantiles_of([np.nan]) is None
    assert quantiles_of([1, 2, 3])["median"] == 2


def test_a_square_is_in_the_middle_of_its_bin():
    edges = MEASURES["aspect_ratio"].edges
    place = int(np.flatnonzero(count_bins("aspect_ratio", [1.0]))[0])
    assert np.sqrt(edges[place - 1] * edges[place]) == pytest.approx(1)


def test_hosts_and_endings_of_odd_urls():
    urls = [
        "HTTP://Me:pw@A.test:80/x.JPG?y=1",
        "http://[::1]/a.jpeg",
        "nonsense",
        "http://b.test/x.php#.png",
        "http://b.test",
    ]
    assert hosts_of(pa.chunked_array([urls])).to_pylist() == ["a.test", "[::1]", "", "b.test", "b.test"]
    assert count_endings(pa.chunked_array([urls])) == {"none of these": 3, "jpg": 2}


def test_many_hosts_are_counted_in_bounded_memory(monkeypatch):
    monkeypatch.setattr("testbed.cards.outcomes.MOST_HOSTS", 10)
    hosts = Hosts()
    for number in range(30):
        urls = ["http://big.test/1"] * 5 + [f"http://small{number}.test/1"]
        hosts.add(pa.table({"url": urls, "cause": ["success", "timeout"] * 3}))
    found = hosts.result()
    assert found["largest"][0] == {"host": "big.test", "urls": 150, "images": 90}
    assert not found["is_exact"] and len(hosts.urls) <= 10


def test_outcomes_are_counted_by_cause_and_host(tmp_path):
    urls = [f"http://host{number % 2}.test/{number}.jpg" for number in range(20)]
    write_downloads(tmp_path / "00000", make_rows(urls), missing=set(urls[:4]))
    manifest = read_json(tmp_path / "00000/manifest.json")
    write_json(tmp_path / "00000/manifest.json", manifest | {"causes": {"success": 16, "http 404": 4}})
    found = describe_downloads([tmp_path / "00000"])
    assert (found["urls"], found["images"], found["failed"]) == (20, 16, {"http 404": 4})
    assert found["largest"] == [
        {"host": "host0.test", "urls": 10, "images": 8},
        {"host": "host1.test", "urls": 10, "images": 8},
    ]
    write_json(tmp_path / "counts.json", {"rows": 30, "kept": 20, "dropped": {"nsfw": 0, "bad_url": 10}})
    assert describe_list(tmp_path / "counts.json") == {
        "kind": "list",
        "rows": 30,
        "kept": 20,
        "dropped": {"bad_url": 10},
    }


def test_a_source_on_disk_says_what_was_encoded_anew(tmp_path):
    write_folder(tmp_path / "files", 40)
    source = FileSource(tmp_path, tmp_path / "files")
    counts = source.shuffle()
    write_json(tmp_path / "counts.json", counts)
    write_json(tmp_path / "shards/manifest.json", source.rewrite(counts=counts))
    rows = parquet.read_schema(sorted(source.shuffled.glob("*.parquet"))[0]).remove_metadata()
    samples = tmp_path / "samples"
    samples.mkdir()
    write_json(samples / "manifest.json", list_samples(tmp_path / "shards", rows, samples))
    description, words, sheet = describe(samples)
    description["list"] = describe_list(tmp_path / "counts.json")
    description["rewriting"] = describe_rewriting(tmp_path / "shards")
    assert description["samples"] == 40 and description["list"]["kind"] == "files"
    assert sum(description["rewriting"]["encoded"].values()) > 0
    page = page_of((description, words, sheet))
    assert "samples in the files" in page and "Images that were encoded anew" in page
    assert "URLs that were asked" not in page
