"""Near-duplicates of pools and test sets: what is found, what the filters keep, and what a restart keeps."""

import itertools

import numpy as np
import pytest

from filter_tables import table_of, write_pool
from find_duplicates import find_duplicates
from hash_images import hash_images
from hash_testset import hash_testset
from near_images import brightened, cropped, drawing, jpeg, reencoded
from select_samples import Given, SelectionError, select_samples
from small_testsets import write_testset
from testbed.filtering import near_duplicates, near_search
from testbed.filtering.hash_search import Pairs
from testbed.filtering.image_hashes import Hashes, hash_table, shrink
from testbed.filtering.near_duplicates import KEPT, first_of_equal, keep_first, near_before
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import PartError
from testbed.shards.samples import SampleError

FLAT = jpeg(drawing(0).resize((1, 1)).resize((96, 96)))
COPIES = {12: (3, reencoded), 17: (3, brightened), 25: (12, None), 31: (30, cropped)}
"""Near-duplicates in the pool: the earlier sample that each is one of, and how it was changed; None for the same bytes."""

IN_TESTSET = {5: (0, reencoded), 17: (1, None), 22: (2, cropped)}
"""Samples of the pool that are in the test set: the number of the test image, and how it was changed."""


def images() -> list[bytes]:
    """The pool's images: drawings, copies of them, and two flat ones."""
    files = [jpeg(drawing(number)) for number in range(40)]
    for number, (original, change) in COPIES.items():
        files[number] = change(drawing(original)) if change else files[original]
    files[8] = files[9] = FLAT
    return files


def written(folder, make, *given, **asked):
    """The folder of what a script's function writes, with its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "manifest.json", make(*given, folder, **asked))
    return folder


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """The folder of the samples' table, and that of their hashes."""
    samples = write_pool(tmp_path_factory.mktemp("pool"), [f"caption {number}" for number in range(40)], 10, images())
    return samples, written(samples.parent / "hashes", hash_images, samples, samples.parent / "shards", threads=2)


@pytest.fixture(scope="module")
def testset(tmp_path_factory):
    """The folder of a test set's hashes: three images of the pool or near them, others, and a flat one."""
    folder, files = tmp_path_factory.mktemp("testset"), [jpeg(drawing(number)) for number in range(200, 210)]
    for number, (image, change) in IN_TESTSET.items():
        files[image] = change(drawing(number)) if change else images()[number]
    write_testset(folder / "set", "retrieval", [(file, b"a\nb") for file in [*files, FLAT]])
    return written(folder / "hashes" / "photos", hash_testset, folder / "set")


def numbers_in(pool, uids) -> list[int]:
    everything = table_of(pool)["uid"].to_pylist()
    return [everything.index(uid) for uid in uids]


def test_each_sample_has_its_hash(pool):
    samples, hashes = pool
    manifest, found = read_json(hashes / "manifest.json"), table_of(hashes)
    assert found["uid"].equals(table_of(samples)["uid"])
    assert (manifest["samples"], manifest["flat"], len(manifest["files"])) == (40, 2, 4)
    assert found["hash"].is_null().to_numpy().nonzero()[0].tolist() == [8, 9]
    assert found["hash"][12].as_py() != found["hash"][13].as_py()
    assert found["hash"][25] == found["hash"][12]


def test_hashes_do_not_depend_on_threads(pool, tmp_path):
    samples, hashes = pool
    again = written(tmp_path / "hashes", hash_images, samples, samples.parent / "shards", threads=3)
    assert [path.read_bytes() for path in sorted(again.glob("*.parquet"))] == [
        path.read_bytes() for path in sorted(hashes.glob("*.parquet"))
    ]


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    samples = write_pool(tmp_path, ["a", "b"], 10, [jpeg(drawing(1)), b"no image"])
    with pytest.raises(
        SampleError, match=r"000000.tar: image [0-9a-f]{32} cannot be decoded .* Run `snakemake verify`"
    ):
        hash_images(samples, samples.parent / "shards", tmp_path)


def test_deduplicating_keeps_the_first_of_near_duplicates(pool, tmp_path):
    samples, hashes = pool
    folder = written(tmp_path / "found", lambda *given: find_duplicates(*given, 10), samples, hashes)
    found = table_of(folder)
    assert numbers_in(samples, found["uid"].to_pylist()) == list(COPIES)
    # 25 has the bytes of 12, which is dropped for 3.
    assert numbers_in(samples, found["duplicate_of"].to_pylist()) == [3, 3, 3, 30]
    assert max(found["distance"].to_pylist()) <= 10
    manifest = select_samples(
        samples, {"method": "deduplicate", "distance": 10}, tmp_path, given=Given(duplicates=folder)
    )
    assert (manifest["samples"], manifest["of"], manifest["near_duplicates"]) == (36, 40, 4)
    kept = numbers_in(samples, table_of(tmp_path)["uid"].to_pylist())
    assert kept == [number for number in range(40) if number not in COPIES]


@pytest.mark.parametrize("batch", [1, 20, 30])
def test_batches_of_any_size_and_a_restart_among_them_find_the_same(pool, tmp_path, monkeypatch, batch):
    whole = written(tmp_path / "whole", lambda *given: find_duplicates(*given, 10), *pool)
    monkeypatch.setattr(near_search.ByHash, "batch", batch)
    found = written(tmp_path / "found", lambda *given: find_duplicates(*given, 10), *pool)
    assert table_of(found).to_pylist() == table_of(whole).to_pylist()
    for name in ("000001", "000003"):
        (found / f"{name}.json").unlink()
    written(found, lambda *given: find_duplicates(*given, 10), *pool)
    assert table_of(found).to_pylist() == table_of(whole).to_pylist()
    assert len(table_of(found)) == len(COPIES)


def test_decontaminating_drops_what_is_near_a_test_image(pool, testset, tmp_path):
    samples, hashes = pool
    testsets = {"photos": testset, "again": testset}
    folder = written(tmp_path / "found", lambda *given: find_duplicates(*given, 10, testsets), samples, hashes)
    found = table_of(folder)
    rows = [(*numbers_in(samples, [row["uid"]]), row["testset"], row["key"]) for row in found.to_pylist()]
    # 3 and 12 are near-duplicates of 17, of which the test set has the bytes. 25 has the bytes of 12.
    near = {5: 0, 22: 2, 3: 1, 12: 1, 17: 1, 25: 1}
    wanted = [(number, name, f"s{near[number]:04d}") for number in sorted(near) for name in testsets]
    assert sorted(rows) == sorted(wanted)
    rules = {"method": "decontaminate", "against": list(testsets), "distance": 10}
    manifest = select_samples(samples, rules, tmp_path, given=Given(duplicates=folder))
    assert manifest["testsets"]["photos"] == {"images": 11, "flat": 1, "near_images": 3, "near_samples": 6}
    assert (manifest["samples"], manifest["near_duplicates"], manifest["against"]) == (34, 6, ["photos", "again"])
    assert not set(numbers_in(samples, table_of(tmp_path)["uid"].to_pylist())) & set(near)


def test_filters_of_filters_and_smaller_batches_find_the_same(pool, testset, tmp_path, monkeypatch):
    samples, hashes = pool
    rules = {"method": "sql", "where": "likes % 20 = 0 OR likes > 100"}
    part = written(tmp_path / "part", lambda given, folder: select_samples(given, rules, folder), samples)
    uids = set(table_of(part)["uid"].to_pylist())
    assert 0 < len(uids) < 40
    against = {"photos": testset}
    whole = written(tmp_path / "whole", lambda *given: find_duplicates(*given, 10, against), samples, hashes)
    monkeypatch.setattr(near_search.ByHash, "batch", 12)
    found = written(tmp_path / "found", lambda *given: find_duplicates(*given, 10, against), part, hashes)
    assert table_of(found).to_pylist() == [row for row in table_of(whole).to_pylist() if row["uid"] in uids]
    assert len(table_of(found))


def test_finished_parts_are_kept_and_a_longer_pool_keeps_what_a_shorter_one_keeps(pool, tmp_path, monkeypatch):
    samples, hashes = pool
    folder = written(tmp_path / "found", lambda *given: find_duplicates(*given, 10), samples, hashes)
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    (folder / "000003.json").unlink()
    made = []
    make = near_search.Duplicates.make
    monkeypatch.setattr(near_search.Duplicates, "make", lambda self, name: made.append(name) or make(self, name))
    written(folder, lambda *given: find_duplicates(*given, 10), samples, hashes)
    assert made == ["000003"]
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == before
    # Of a pool without its last part, no part is made again.
    shorter = [read_json(one / "manifest.json") for one in (samples, hashes)]
    for name, manifest in zip(("samples", "hashes"), shorter, strict=True):
        (tmp_path / name).mkdir()
        for file in manifest["files"][:3]:
            (tmp_path / name / file["name"]).symlink_to(pool[name == "hashes"] / file["name"])
        write_json(tmp_path / name / "manifest.json", manifest | {"files": manifest["files"][:3]})
    made.clear()
    find_duplicates(tmp_path / "samples", tmp_path / "hashes", folder, 10)
    assert made == []


def test_a_sample_without_a_hash_is_an_error(pool, tmp_path):
    other = write_pool(tmp_path, [f"caption {number}" for number in range(40)], 5, images())
    hashes = written(tmp_path / "hashes", hash_images, other, tmp_path / "shards")
    with pytest.raises(PartError, match="hashes/000000.parquet: lacks 5 samples .* run the same command again"):
        find_duplicates(pool[0], hashes, tmp_path, 10)


def test_a_pool_of_which_nothing_stays_is_an_error(pool, tmp_path):
    samples, hashes = pool
    rules = {"method": "sql", "where": "likes < 50"}
    part = written(tmp_path / "part", lambda given, folder: select_samples(given, rules, folder), samples)
    write_testset(tmp_path / "set", "classification", [(file, b"0") for file in images()[:5]])
    testset = written(tmp_path / "same", hash_testset, tmp_path / "set")
    found = written(tmp_path / "f", lambda *given: find_duplicates(*given, 10, {"same": testset}), part, hashes)
    rules = {"method": "decontaminate", "against": ["same"], "distance": 10}
    with pytest.raises(SelectionError, match=r"filter f: keeps none of the 5 samples of part. Correct filters.f"):
        select_samples(part, rules, tmp_path / "f", given=Given(duplicates=found))


@pytest.mark.parametrize("seed", range(5))
def test_no_two_kept_images_are_near_and_each_dropped_one_is_near_the_first_kept(seed):
    """Against the definition, on random graphs with long chains."""
    random, number = np.random.default_rng(seed), 60
    pairs = sorted(pair for pair in itertools.combinations(range(number), 2) if random.random() < 0.06)
    far = random.integers(0, 11, len(pairs))
    near, distance = keep_first(number, Pairs(*np.array(pairs).T, far))
    kept: list[int] = []
    for image in range(number):
        before = [place for place, (first, second) in enumerate(pairs) if second == image and first in kept]
        if not before:
            kept.append(image)
            assert near[image] == KEPT
        else:
            assert (near[image], distance[image]) == (pairs[before[0]][0], far[before[0]])
    assert len(kept) < number


def test_equal_images_are_compared_once_and_have_one_fate():
    files = [jpeg(drawing(number)) for number in (1, 2, 1, 1)] + [reencoded(drawing(2))] * 3
    table = hash_table([""] * len(files), np.stack([shrink(file) for file in files]))
    near, distance = near_before(Hashes([table]), 10)
    assert near.tolist() == [KEPT, KEPT, 0, 0, 1, 1, 1]
    assert (distance[:4] == 0).all() and len(set(distance[4:].tolist())) == 1


def test_images_with_one_hash_are_equal_only_with_equal_coefficients(monkeypatch):
    files = [jpeg(drawing(number)) for number in (1, 2, 1)]
    hashes = Hashes([hash_table([""] * 3, np.stack([shrink(file) for file in files]))])
    assert first_of_equal(hashes).tolist() == [0, 1, 0]
    # With this number, all keys are equal.
    monkeypatch.setattr(near_duplicates, "SPREAD", np.uint64(0))
    assert first_of_equal(hashes).tolist() == [0, 1, 0]
