"""The search for near hashes finds what comparing all pairs finds."""

import numpy as np
import pytest

from testbed.filtering.hash_search import BLOCK, candidates, choose_bands, pairs_between, pairs_within

NUMBER, PLANTED = 20_000, 3_000


def flipped(hashes: np.ndarray, bits: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`hashes` with so many random bits changed, each at most once."""
    places = np.argsort(random.random((len(hashes), 64)), axis=1)
    chosen = np.arange(64) < bits[:, None]
    masks = np.where(chosen, np.uint64(1) << places.astype(np.uint64), np.uint64(0))
    return hashes ^ np.bitwise_xor.reduce(masks, axis=1)


@pytest.fixture(scope="module")
def hashes() -> np.ndarray:
    """Random hashes, some of which are near others by 0 to 14 bits."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, NUMBER, dtype=np.uint64)
    hashes[-PLANTED:] = flipped(hashes[:PLANTED], random.integers(0, 15, PLANTED), random)
    return hashes


def all_pairs(first: np.ndarray, second: np.ndarray, distance: int) -> set[tuple[int, int, int]]:
    """Pairs of near hashes by comparing each with each, a thousand rows at a time."""
    found = set()
    for start in range(0, len(first), 1000):
        far = np.bitwise_count(first[start : start + 1000, None] ^ second)
        rows, others = np.nonzero(far <= distance)
        found |= set(zip((rows + start).tolist(), others.tolist(), far[rows, others].tolist(), strict=True))
    return found


def found_by(pairs) -> set[tuple[int, int, int]]:
    listed = list(zip(*(column.tolist() for column in pairs), strict=True))
    assert len(set(listed)) == len(listed) and listed == sorted(listed)
    return set(listed)


@pytest.fixture(scope="module")
def near(hashes) -> set[tuple[int, int, int]]:
    """All pairs that differ in at most 12 bits."""
    return {pair for pair in all_pairs(hashes, hashes, 12) if pair[0] < pair[1]}


@pytest.mark.parametrize("distance", [0, 5, 10, 12])
def test_the_search_finds_what_comparing_all_pairs_finds(hashes, near, distance):
    within = {pair for pair in near if pair[2] <= distance}
    assert len(within) > PLANTED * distance / 20
    assert found_by(pairs_within(hashes, distance, threads=2)) == within
    half = NUMBER // 2
    between = {(one, other - half, far) for one, other, far in within if one < half <= other}
    assert found_by(pairs_between(hashes[:half], hashes[half:], distance)) == between


@pytest.mark.parametrize("equal", [1, 2, 3])
def test_every_number_of_bands_finds_the_same(hashes, equal):
    part = np.concatenate([hashes[:2000], hashes[-PLANTED:][:2000]])
    assert found_by(pairs_within(part, 10, equal=equal)) == found_by(pairs_within(part, 10))
    assert len(pairs_within(part, 10).first) > 1000


def test_equal_hashes_without_variety_are_all_found():
    """As those of images that differ little: all in one bucket, of more pairs than are compared at once."""
    hashes = np.repeat(np.array([0, 2**64 - 1, 3], np.uint64), 1100)
    assert BLOCK < 1100**2
    # 0 and 3 differ in two bits.
    assert len(pairs_within(hashes, 1).first) == 3 * 1100 * 1099 // 2
    assert len(pairs_within(hashes, 2).first) == 3 * 1100 * 1099 // 2 + 1100**2


def test_empty_lists_have_no_pairs():
    empty, one = np.empty(0, np.uint64), np.zeros(1, np.uint64)
    for first, second in ((empty, empty), (empty, one), (one, empty)):
        assert len(pairs_between(first, second, 10).first) == 0
    assert len(pairs_within(one, 10).first) == len(pairs_within(empty, 10).first) == 0


def test_candidates_are_all_places_of_all_rows():
    starts, counts = np.array([5, 0, 7]), np.array([2, BLOCK + 1, 1])
    blocks = list(candidates(starts, counts))
    assert len(blocks) > 1
    rows, places = (np.concatenate(column) for column in zip(*blocks, strict=True))
    assert rows.tolist() == [0, 0, *[1] * (BLOCK + 1), 2]
    assert places.tolist() == [5, 6, *range(BLOCK + 1), 7]


def test_more_hashes_are_sorted_by_more_bands():
    assert choose_bands(10, 100, 100) == 1 < choose_bands(10, 10**6, 150_000) < 5
