"""Balancing: the closed form of MetaCLIP's rule, over many seeds, whatever the order, the parts and the restarts."""

import csv
import os
import random
import shutil
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy.stats import binom

import check_entries
from balance_samples import balance_samples
from filter_tables import table_of, write_entries, write_matches, write_pool
from testbed.filtering.balancing import draw, keep_probabilities, threshold_of
from testbed.filtering.entry_lists import EntryError
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import parts_of

WORDS = ["a", "cat", "dog", "car", "tree", "red", "blue car", "photo", "of", "zebra"]
ENTRIES = [*WORDS, "never", "blue"]


def some_captions(count: int = 200) -> list[str]:
    chosen = random.Random(0)
    weights = [1 / (place + 1) ** 1.5 for place in range(len(WORDS))]
    return [" ".join(chosen.choices([*WORDS, "xyz"], [*weights, 0.3], k=chosen.randint(1, 3))) for _ in range(count)]


def balanced(pool, tmp_path, name="kept", seed=0, **rules):
    """The manifest and the kept rows of a pool's balancing."""
    samples, matches, counts = pool
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    manifest = balance_samples(samples, matches, counts, folder, tmp_path / f"{name}.csv", seed, **rules)
    write_json(folder / "manifest.json", manifest)
    return manifest, table_of(folder)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Folders of samples, matches and counts of the captions, in eight parts. Tests leave them as they are."""
    folder = tmp_path_factory.mktemp("pool")
    samples = write_pool(folder, some_captions(), 25)
    return samples, *write_matches(folder, samples, ENTRIES)[1:]


def expected_probabilities(t: int) -> list[float]:
    """1 - prod(1 - min(1, t / count)) for each caption, in exact arithmetic, from a count of its own."""
    found = [[entry for entry in ENTRIES if f" {entry} " in f" {caption} "] for caption in some_captions()]
    counts = Counter(entry for entries in found for entry in entries)
    return [float(1 - prod(1 - min(Fraction(1), Fraction(t, counts[entry])) for entry in own)) for own in found]


@pytest.mark.parametrize("t", [1, 5, 40, 10_000])
def test_a_sample_stays_with_the_probability_of_the_closed_form(pool, tmp_path, t):
    manifest, kept = balanced(pool, tmp_path, t=t)
    wanted = expected_probabilities(t)
    by_uid = dict(zip(table_of(pool[0])["uid"].to_pylist(), wanted, strict=True))
    found = dict(zip(kept["uid"].to_pylist(), kept["keep_probability"].to_pylist(), strict=True))
    assert found == pytest.approx({uid: by_uid[uid] for uid in found}, abs=1e-12)
    assert manifest["expected"] == pytest.approx(sum(wanted), abs=1e-3)
    assert {uid for uid, chance in by_uid.items() if chance == 1} <= set(found)
    assert not {uid for uid, chance in by_uid.items() if chance == 0} & set(found)


def test_over_a_thousand_seeds_each_sample_stays_as_often_as_it_should():
    seeds, t = 1000, 12
    wanted = np.array(expected_probabilities(t))
    uids = [f"{number:032x}" for number in range(len(wanted))]
    kept = sum((draw(uids, f"balance {seed} mine") < wanted).astype(int) for seed in range(seeds))
    # Of 200 samples, each with its own binomial bounds, chance puts none outside of one in a million.
    low, high = binom.ppf(5e-7, seeds, wanted), binom.isf(5e-7, seeds, wanted)
    assert ((low <= kept) & (kept <= high)).all()
    assert ((wanted > 0.1) & (wanted < 0.9)).sum() > 40
    # And together they are no narrower than chance: the squared deviations are those of independent draws.
    open_ones = (wanted > 0) & (wanted < 1)
    scores = (kept - seeds * wanted)[open_ones] / np.sqrt(seeds * wanted * (1 - wanted))[open_ones]
    assert 0.6 < np.mean(scores**2) < 1.5


def test_draws_are_even_and_depend_on_key_and_uid_alone():
    uids = [f"{number:032x}" for number in range(100_000)]
    first, second = draw(uids, "one"), draw(uids, "two")
    assert first.min() >= 0 and first.max() < 1
    assert np.histogram(first, 10, (0, 1))[0] == pytest.approx(10_000, abs=500)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert (draw(uids[::-1], "one")[::-1] == first).all()
    assert draw([], "one").tolist() == []


@pytest.mark.parametrize("shard_size", [7, 64, 1000])
def test_other_parts_keep_the_same_samples_in_the_same_order(pool, tmp_path, shard_size):
    wanted = balanced(pool, tmp_path, t=12)[1]["uid"].to_pylist()
    samples = write_pool(tmp_path / "other", some_captions(), shard_size)
    other = samples, *write_matches(tmp_path / "other", samples, ENTRIES)[1:]
    assert balanced(other, tmp_path, "again", t=12)[1]["uid"].to_pylist() == wanted
    order = table_of(samples)["uid"].to_pylist()
    assert [uid for uid in order if uid in set(wanted)] == wanted


def test_another_number_of_cores_keeps_the_same_samples(pool, tmp_path):
    wanted = balanced(pool, tmp_path, t=12)[1]["uid"].to_pylist()
    cores, threads = os.sched_getaffinity(0), pa.cpu_count()
    try:
        for name, allowed, count in (("one", {min(cores)}, 1), ("many", cores, 8)):
            os.sched_setaffinity(0, allowed)
            pa.set_cpu_count(count)
            samples = write_pool(tmp_path / name, some_captions(), 25)
            other = samples, *write_matches(tmp_path / name, samples, ENTRIES)[1:]
            assert balanced(other, tmp_path, f"kept_{name}", t=12)[1]["uid"].to_pylist() == wanted
    finally:
        os.sched_setaffinity(0, cores)
        pa.set_cpu_count(threads)


def test_a_job_that_is_run_again_makes_only_what_is_missing(pool, tmp_path):
    before, _ = balanced(pool, tmp_path, t=12)
    folder = tmp_path / "kept"
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    (folder / "000003.json").unlink()
    (folder / "000005.parquet").write_bytes(b"cut")
    assert balanced(pool, tmp_path, t=12)[0] == before
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert {name for name in times if times[name] != after[name]} == {"000003.parquet", "000005.parquet"}


def test_a_larger_t_keeps_what_a_smaller_one_does_and_another_seed_keeps_others(pool, tmp_path):
    kept = {t: set(balanced(pool, tmp_path, f"t{t}", t=t)[1]["uid"].to_pylist()) for t in (3, 12, 40)}
    assert kept[3] < kept[12] < kept[40]
    assert set(balanced(pool, tmp_path, "seed", seed=1, t=12)[1]["uid"].to_pylist()) != kept[12]


def test_a_filter_upon_a_filter_draws_anew(pool, tmp_path):
    """Else those that a first filter keeps by their draw would be kept by the second."""
    samples, matches, counts = pool
    manifest = read_json(samples / "manifest.json")
    other = shutil.copytree(samples, tmp_path / "other")
    write_json(other / "manifest.json", manifest | {"pool": "other"})
    first, second = (
        set(balanced((folder, matches, counts), tmp_path, t=12)[1]["uid"].to_pylist()) for folder in (samples, other)
    )
    assert first - second and second - first


def test_the_table_of_entries_counts_before_and_after(pool, tmp_path):
    manifest, kept = balanced(pool, tmp_path, t=12)
    with open(tmp_path / "kept.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for entry in rows:
        for column, captions in (("count", some_captions()), ("kept", kept["caption"].to_pylist())):
            assert int(entry[column]) == sum(f" {entry['entry']} " in f" {caption} " for caption in captions)
        assert entry["part"] == ("head" if int(entry["count"]) >= 12 else "tail")
        assert float(entry["kept_share"]) == pytest.approx(int(entry["kept"]) / int(entry["count"]), abs=1e-6)
    counts = [int(entry["count"]) for entry in rows]
    assert counts == sorted(counts, reverse=True) and min(counts) > 0
    assert manifest["matches"] == sum(counts) and manifest["matches_kept"] == sum(int(row["kept"]) for row in rows)
    tail = [count for count in counts if count < 12]
    assert (manifest["tail_entries"], manifest["tail_share"]) == (len(tail), pytest.approx(sum(tail) / sum(counts)))


def test_a_tail_fraction_is_the_largest_t_that_keeps_the_tail_as_small():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts = rng.integers(0, 50, 40)
        counts[0] += 1
        for fraction in (0.01, 0.06, 0.3, 0.9):
            t = threshold_of(counts, fraction)
            tails = {other: counts[counts < other].sum() / counts.sum() for other in range(1, counts.max() + 1)}
            assert t == max((other for other, share in tails.items() if share <= fraction), default=1)


def test_a_tail_fraction_takes_the_place_of_t(pool, tmp_path):
    manifest, kept = balanced(pool, tmp_path, tail_fraction=0.2)
    assert manifest["tail_share"] <= 0.2
    assert kept["uid"].to_pylist() == balanced(pool, tmp_path, "same", t=manifest["t"])[1]["uid"].to_pylist()


def test_captions_without_an_entry_never_stay():
    assert keep_probabilities(np.array([0, 0, 1]), np.array([0]), np.array([5]), 10**9).tolist() == [0, 1]
    assert keep_probabilities(np.zeros(4, int), np.zeros(0, int), np.array([5]), 1).tolist() == [0, 0, 0]


def test_counts_are_of_captions_and_not_of_occurrences(tmp_path):
    samples = write_pool(tmp_path, ["dog dog dog", "a dog", "nothing"], 2)
    _, _, counts = write_matches(tmp_path, samples, ["dog", "a"])
    assert table_of_counts(counts) == {"a": 1, "dog": 2}
    facts = read_json(counts / "manifest.json")
    assert (facts["samples"], facts["matched"], facts["matches"], facts["entries_matched"]) == (3, 2, 3, 2)


def table_of_counts(counts) -> dict[str, int]:
    return dict(zip(*parquet.read_table(counts / "counts.parquet").to_pydict().values(), strict=True))


CAPTIONS = [f"a photo of number {number}" for number in range(check_entries.BATCH)]
LATER = [*CAPTIONS, "nothing", *CAPTIONS, "A dog."]


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """A list of one's own of two files."""
    folder = tmp_path_factory.mktemp("released")
    half = len(LATER) // 2
    for number, captions in enumerate((LATER[:half], LATER[half:])):
        urls = [f"http://photos.test/{number}/{place}.jpg" for place in range(len(captions))]
        parquet.write_table(pa.table({"url": urls, "caption": captions}), folder / f"{number}.parquet")
    return folder


@pytest.mark.parametrize(
    ("entry", "looked"),
    [("photo", check_entries.BATCH), ("nothing", 2 * check_entries.BATCH), ("dog", len(LATER))],
)
def test_the_first_caption_with_an_entry_is_found(tmp_path, entry, looked):
    parquet.write_table(pa.table({"caption": LATER}), tmp_path / "pairs.parquet")
    assert (
        check_entries.check_entries(write_entries(tmp_path / "entries", ["never", entry]), tmp_path / "pairs.parquet")
        == looked
    )


def test_entries_that_no_caption_has_are_known_from_the_prepared_list(tmp_path):
    parquet.write_table(pa.table({"caption": LATER}), tmp_path / "pairs.parquet")
    listed = write_entries(tmp_path / "mine", ["Dog", "zebra"])
    expected = f"filter mine: none of its 2 entries is in any of {len(LATER)} captions"
    with pytest.raises(EntryError, match=expected):
        check_entries.check_entries(listed, tmp_path / "pairs.parquet")


def expect_match(released, path, *entries: str, before: int = 0, **options) -> None:
    """Ask for `entries` in the captions of a released list, behind so many others."""
    others = (f"other{number}" for number in range(before))
    path.write_text("\n".join([*others, *entries]))
    check_entries.expect_match("mine", [{"kind": "list", "path": str(path)}], str(released), "parquet", {}, **options)


@pytest.mark.parametrize(("entry", "before"), [("photo", 0), ("dog", 0), ("photo", 30_000), ("dog", 30_000)])
def test_a_match_is_expected_of_a_released_list(released, tmp_path, entry, before):
    expect_match(released, tmp_path / "own.txt", entry, before=before)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["Dog", "zebra"], f"filter mine: none of its 2 entries is in any of {len(LATER)} captions"),
        (["U.S."], "filter mine: none of its 1 entries can be in a caption"),
        ([" "], "own.txt: has no entry"),
    ],
)
def test_entries_that_no_caption_has_are_known_from_the_released_list(released, tmp_path, entries, expected):
    with pytest.raises(EntryError, match=expected):
        expect_match(released, tmp_path / "own.txt", *entries)


def test_of_a_long_list_the_job_says_that_none_matches(released, tmp_path, monkeypatch):
    """And of one without rows, the job that prepares it."""
    monkeypatch.setattr(check_entries, "EARLY", len(LATER) // 2)
    expect_match(released, tmp_path / "own.txt", "zebra")
    (tmp_path / "list.csv").write_text("url,caption\n")
    check_entries.expect_match("mine", [{"kind": "numbers"}], str(tmp_path / "list.csv"), "csv", {})


def test_captions_that_are_dropped_have_no_entries(tmp_path):
    urls = ["http://photos.test/1.jpg", "ftp://photos.test/2.jpg"]
    parquet.write_table(pa.table({"url": urls, "caption": ["a cat", "a dog"]}), tmp_path / "list.parquet")
    expect_match(tmp_path / "list.parquet", tmp_path / "own.txt", "cat")
    with pytest.raises(EntryError, match="in any of 1 captions"):
        expect_match(tmp_path / "list.parquet", tmp_path / "own.txt", "dog")


def test_captions_of_private_networks_that_are_allowed_have_entries(tmp_path):
    urls = ["http://photos.test/1.jpg", "http://10.0.0.1/2.jpg"]
    parquet.write_table(pa.table({"url": urls, "caption": ["a cat", "a dog"]}), tmp_path / "list.parquet")
    expect_match(tmp_path / "list.parquet", tmp_path / "own.txt", "dog", private_networks=["10.0.0.0/8"])


def test_entries_that_no_caption_has_are_an_error(tmp_path):
    samples = write_pool(tmp_path, ["a dog", "a cat"])
    with pytest.raises(EntryError, match="filter counts: none of its 2 entries is in any of 2 captions.*Give other"):
        write_matches(tmp_path, samples, ["Dog", "zebra"])


def test_parts_are_those_of_the_pool(pool, tmp_path):
    manifest, _ = balanced(pool, tmp_path, t=12)
    assert [file["name"] for file in manifest["files"]] == [file["name"] for file in parts_of(pool[0]).values()]
    assert manifest["samples"] == sum(file["rows"] for file in manifest["files"]) < manifest["of"] == 200
    assert all(first["name"] < second["name"] for first, second in pairwise(manifest["files"]))
