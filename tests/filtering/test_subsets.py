"""DataComp's subset files: read and written as DataComp's own code does, and what else keeps samples by their identity."""

import shutil

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from filter_tables import table_of, write_pool
from select_samples import Given, SelectionError, select_samples
from testbed.filtering.subsets import Subset, SubsetError, pairs_of, subset_problems
from testbed.records.manifest import read_json, write_json
from write_subset import write_subset

COUNT = 40


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Samples in four parts. Tests leave them as they are."""
    return write_pool(tmp_path_factory.mktemp("pool"), [f"caption number {number}" for number in range(COUNT)])


def datacomp_subset(uids: list[str]) -> np.ndarray:
    """As baselines/apply_filter.py of DataComp writes uids."""
    return np.array(sorted((int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids), np.dtype("u8,u8"))


def selected(samples, folder, given=None, **rules) -> tuple[dict, list[int]]:
    folder.mkdir(exist_ok=True)
    manifest = select_samples(samples, rules, folder, given=given or Given())
    write_json(folder / "manifest.json", manifest)
    return manifest, [int(caption.split()[-1]) for caption in table_of(folder)["caption"].to_pylist()]


def with_own_uids(folder, uids: list) -> object:
    """A pool whose list had uids of its own."""
    samples = write_pool(folder, [f"caption number {number}" for number in range(len(uids))], len(uids))
    table = table_of(samples).append_column("source_uid", pa.array(uids, pa.string()))
    parquet.write_table(table, samples / "000000.parquet")
    manifest = read_json(samples / "manifest.json")
    manifest["files"][0]["bytes"] = (samples / "000000.parquet").stat().st_size
    write_json(samples / "manifest.json", manifest)
    return samples


def test_uids_are_pairs_of_numbers_as_in_datacomp():
    uids = ["0" * 31 + "1", "f" * 32, "00112233445566778899AABBCCDDEEFF"]
    assert pairs_of(uids).tolist() == [(0, 1), (2**64 - 1,) * 2, (0x0011223344556677, 0x8899AABBCCDDEEFF)]
    for wrong in ("xyz", "g" * 32, "1" * 31, "1" * 33):
        with pytest.raises(SubsetError, match=f"uid '{wrong}' is not of 32 hexadecimal digits"):
            pairs_of([*uids, wrong])


@pytest.mark.parametrize("is_sorted", [True, False])
def test_membership_is_that_of_a_set(is_sorted, tmp_path):
    rng = np.random.default_rng(0)
    # First halves that many uids share, which real ones hardly do.
    uids = [f"{high:016x}{low:016x}" for high, low in rng.integers(0, 12, (300, 2)).tolist()]
    named = uids[::3]
    np.save(tmp_path / "some.npy", datacomp_subset(named) if is_sorted else pairs_of(named))
    found = Subset(tmp_path / "some.npy").contains(uids)
    assert found.tolist() == [uid in set(named) for uid in uids] and not found.all()
    assert Subset(tmp_path / "some.npy").contains([None, uids[0], None, "f" * 32]).tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert Subset(tmp_path / "some.npy").contains([]).tolist() == []


def test_a_subset_keeps_what_it_names_in_the_pools_order(pool, tmp_path):
    uids = table_of(pool)["uid"].to_pylist()
    np.save(tmp_path / "some.npy", datacomp_subset([*uids[5:30:2], "0" * 32]))
    manifest, kept = selected(pool, tmp_path / "kept", Given(subset=tmp_path / "some.npy"), method="subset")
    assert kept == list(range(5, 30, 2))
    assert (manifest["samples"], manifest["of"]) == (13, COUNT)
    np.save(tmp_path / "some.npy", datacomp_subset(uids[:3]))
    assert selected(pool, tmp_path / "kept", Given(subset=tmp_path / "some.npy"), method="subset")[1] == [0, 1, 2]
    np.save(tmp_path / "some.npy", datacomp_subset(["0" * 32]))
    with pytest.raises(SelectionError, match="keeps none of the 40 samples"):
        selected(pool, tmp_path / "kept", Given(subset=tmp_path / "some.npy"), method="subset")


def test_pools_of_datacomp_are_named_by_its_own_uids(tmp_path):
    own = [f"{7 * number % 10:032x}" for number in range(10)]
    samples = with_own_uids(tmp_path, own)
    np.save(tmp_path / "some.npy", datacomp_subset(own[2:4]))
    manifest, kept = selected(samples, tmp_path / "kept", Given(subset=tmp_path / "some.npy"), method="subset")
    assert kept == [2, 3] and (manifest["named"], manifest["named_by"]) == (2, "source_uid")
    assert write_subset(samples, tmp_path / "all.npy") == 10
    assert np.load(tmp_path / "all.npy").tolist() == [(0, number) for number in range(10)]


def test_uids_of_another_form_are_left_alone(tmp_path):
    samples = with_own_uids(tmp_path, ["flickr-1", "flickr-2", None])
    write_subset(samples, tmp_path / "all.npy")
    wanted = datacomp_subset(table_of(samples)["uid"].to_pylist())
    assert np.array_equal(np.load(tmp_path / "all.npy"), wanted)


def test_what_is_written_is_what_datacomp_writes_and_is_read_again(pool, tmp_path):
    selected(pool, tmp_path / "kept", method="sql", where="likes % 30 = 0")
    write_subset(tmp_path / "kept", tmp_path / "subsets/kept.npy")
    np.save(tmp_path / "wanted.npy", datacomp_subset(table_of(tmp_path / "kept")["uid"].to_pylist()))
    assert (tmp_path / "subsets/kept.npy").read_bytes() == (tmp_path / "wanted.npy").read_bytes()
    given = Given(subset=tmp_path / "subsets/kept.npy")
    assert selected(pool, tmp_path / "again", given, method="subset")[1] == list(range(0, COUNT, 3))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "there is no such file. Put it there"),
        (b"uids", "is not an array in NumPy's format"),
        (np.zeros(3, "u8"), "is an array of uint64 with 1 dimensions, not a list of pairs"),
        (np.zeros((3, 2), "u8"), "with 2 dimensions"),
        (np.zeros(3, "u8,u4"), "not a list of pairs of 64-bit numbers"),
        (np.array(["a" * 32]), "is an array of <U32"),
        (np.array([{}], object), "is not an array in NumPy's format"),
    ],
)
def test_other_files_are_told_before_a_run(tmp_path, content, word):
    path = tmp_path / "some.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    (problem,) = subset_problems(str(path))
    assert word in problem and str(path) in problem


def test_what_is_removed_and_what_is_kept_are_the_pool(pool, tmp_path):
    where = "likes > 100 AND likes < 200 OR CASE WHEN likes <> 30 THEN likes END > 350"
    _, kept = selected(pool, tmp_path / "kept", method="sql", where=where)
    manifest, rest = selected(pool, tmp_path / "rest", method="remove", where=where)
    # What is neither true nor false does not match, and stays.
    assert sorted(kept + rest) == list(range(COUNT)) and 3 in rest
    assert manifest["samples"] == COUNT - len(kept)


@pytest.mark.parametrize("number", [1, 17, 40])
def test_a_control_has_exactly_as_many_random_samples(pool, tmp_path, number):
    rules = {"method": "random", "seed": 0}
    manifest, drawn = selected(pool, tmp_path / "drawn", Given(as_many=number), as_many_as="f", **rules)
    assert manifest["samples"] == len(drawn) == number and drawn == sorted(drawn)
    assert manifest["as_many_as"] == "f"
    # The same draw as of a fraction: what a smaller one has, a larger one has, too.
    _, share = selected(pool, tmp_path / "share", fraction=0.5, **rules)
    assert set(drawn) <= set(share) or set(share) <= set(drawn)
    # As many as another filter keeps now are drawn again.
    _, fewer = selected(pool, tmp_path / "drawn", Given(as_many=1), as_many_as="f", **rules)
    assert len(fewer) == 1 and set(fewer) <= set(drawn)


def test_more_than_there_are_cannot_be_drawn(pool, tmp_path):
    with pytest.raises(SelectionError, match="as_many_as: f keeps 41 samples, but the pool has 40"):
        selected(pool, tmp_path / "drawn", Given(as_many=41), method="random", seed=0, as_many_as="f")


def test_a_control_is_drawn_again_when_its_pool_has_grown(tmp_path):
    """A part that the smaller pool had, too, takes part in another draw."""
    captions, rules = [f"caption number {number}" for number in range(COUNT)], {"method": "random", "seed": 0}
    small, large = (write_pool(tmp_path / f"pool{count}", captions[:count], 10) for count in (10, COUNT))
    selected(small, tmp_path / "drawn", Given(as_many=8), as_many_as="f", **rules)
    _, drawn = selected(large, tmp_path / "drawn", Given(as_many=8), as_many_as="f", **rules)
    _, fresh = selected(large, tmp_path / "fresh", Given(as_many=8), as_many_as="f", **rules)
    assert len(drawn) == 8 and drawn == fresh


def test_another_pool_of_the_same_samples_is_another_draw(pool, tmp_path):
    renamed = shutil.copytree(pool, tmp_path / "renamed")
    write_json(renamed / "manifest.json", read_json(renamed / "manifest.json") | {"pool": "renamed"})
    rules = {"method": "random", "seed": 0, "fraction": 0.5}
    _, before = selected(pool, tmp_path / "drawn", **rules)
    _, drawn = selected(renamed, tmp_path / "drawn", **rules)
    _, fresh = selected(renamed, tmp_path / "fresh", **rules)
    assert before != drawn == fresh
