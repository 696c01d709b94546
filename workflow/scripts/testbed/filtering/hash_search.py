"""All pairs of 64-bit hashes within a Hamming distance, exactly.

The bits are divided into d + k bands. Two hashes that differ in at most d bits differ in at most d bands, so at least k
bands are equal. For each choice of k bands, hashes are therefore sorted by these bands, and only those that agree in them
are compared (G. S. Manku, A. Jain and A. Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007; with k = 1 this
is the search of M. Norouzi, A. Punjani and D. J. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR
2012, with radius 0). A larger k compares fewer pairs, and sorts more often.

A pair that agrees in more than k bands is compared for several choices. It is found for the first of them alone, so that
memory holds each pair once.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

BITS = 64
MAX_DISTANCE = 12
"""The largest distance. Beyond it, unrelated images are near by chance, and the search compares nearly all pairs."""

KEY_BITS = 20
"""The most bits that hashes are sorted by: the table of the places of all keys stays small."""

SORT_COST, COMPARE_COST = 50.0, 10.0
"""Rough costs of sorting one hash once and of comparing one pair, in nanoseconds; only their ratio has an effect."""

BLOCK = 1 << 20
"""Pairs that are compared at once: their arrays stay in the processor's cache."""

MAX_CHOICES = 5

Check = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Says of pairs, given by the indices of each in its own list, which ones count (booleans)."""


class Pairs(NamedTuple):
    """Pairs of near hashes: the index of each in its own list, and their distance. Sorted, without repetitions."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray


def choose_bands(distance: int, first: int, second: int) -> int:
    """The number k of equal bands with which comparing `first` with `second` hashes is fastest."""

    def cost(equal: int) -> float:
        bands = distance + equal
        candidates = first * second / 2 ** min(KEY_BITS, BITS * equal / bands)
        return comb(bands, equal) * (SORT_COST * (first + second) + COMPARE_COST * candidates)

    return min(range(1, MAX_CHOICES), key=cost)


def bands_of(hashes: np.ndarray, count: int) -> list[tuple[np.ndarray, int]]:
    """The values of `count` bands of `hashes` and the number of bits of each.

    Each band takes every `count`th bit: neighbouring bits are of similar frequencies, some of which have little to tell.
    """
    bands = []
    for band in range(count):
        bits = range(band, BITS, count)[:KEY_BITS]
        kind = np.uint8 if len(bits) <= 8 else np.uint32
        values = np.zeros(len(hashes), kind)
        for place, bit in enumerate(bits):
            values |= (hashes >> np.uint64(bit) & np.uint64(1)).astype(kind) << place
        bands.append((values, len(bits)))
    return bands


def join_keys(bands: list[tuple[np.ndarray, int]], chosen: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """One number for the values of the `chosen` bands of each hash, and its number of bits (at most `KEY_BITS`)."""
    keys = np.zeros(len(bands[0][0]), np.uint32)
    bits = min(KEY_BITS, sum(bands[band][1] for band in chosen))
    for band in chosen:
        # The highest bits are lost if there are too many. Then more pairs are compared, and none is missed.
        keys = keys << bands[band][1] | bands[band][0]
    keys &= (1 << bits) - 1
    # NumPy sorts numbers of 16 bits by radix, many times faster than others.
    return keys.astype(np.uint16) if bits <= 16 else keys, bits


def candidates(starts: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs in blocks: the row i and each of the `counts[i]` places from `starts[i]` on.

    A row with more places than a block is a block of its own.
    """
    ends = np.cumsum(counts)
    row = 0
    while row < len(counts):
        before = ends[row - 1] if row else 0
        after = max(row + 1, int(np.searchsorted(ends, before + BLOCK, side="right")))
        number = counts[row:after]
        rows = np.repeat(np.arange(row, after), number)
        offsets = np.repeat(starts[row:after] - (ends[row:after] - number - before), number)
        yield rows, offsets + np.arange(len(rows))
        row = after


def first_choice(difference: np.ndarray, bands: int, chosen: tuple[int, ...]) -> np.ndarray:
    """Whether `chosen` are the first bands in which two hashes with this `difference` (exclusive or) agree."""
    agree = np.ones(len(difference), bool)
    for band in range(chosen[-1] + 1):
        mask = np.uint64(sum(1 << bit for bit in range(band, BITS, bands)))
        agree &= ((difference & mask) == 0) == (band in chosen)
    return agree


def _search(
    first: np.ndarray,
    second: np.ndarray,
    bands: list[list[tuple[np.ndarray, int]]],
    chosen: tuple[int, ...],
    distance: int,
    within: bool,
    check: Check | None,
) -> np.ndarray:
    """Pairs (2, N: indices into `first` and `second`) of at most `distance` whose first equal bands are the `chosen` ones.

    `bands` are those of both lists. `within` one list, they are of one, and the first index of a pair is the smaller.
    """
    keys = [join_keys(one, chosen) for one in bands]
    (first_keys, bits), (second_keys, _) = keys[0], keys[-1]
    order = np.argsort(second_keys, kind="stable")
    keys, hashes = second_keys[order], second[order]
    numbers = np.bincount(keys, minlength=1 << bits)
    ends = np.cumsum(numbers)
    if within:
        # Each hash with those after it.
        rows, sought = order, hashes
        starts = np.arange(1, len(order) + 1)
        counts = ends[keys] - starts
    else:
        rows, sought = np.arange(len(first)), first
        counts = numbers[first_keys]
        starts = ends[first_keys] - counts
    filled = np.flatnonzero(counts)
    rows, sought, starts, counts = rows[filled], sought[filled], starts[filled], counts[filled]
    found = []
    for row, place in candidates(starts, counts):
        difference = sought[row] ^ hashes[place]
        near = np.flatnonzero(np.bitwise_count(difference) <= distance)
        near = near[first_choice(difference[near], len(bands[0]), chosen)]
        pairs = np.stack([rows[row[near]], order[place[near]]])
        if within:
            pairs.sort(axis=0)
        found.append(pairs[:, check(*pairs)] if check else pairs)
    return np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)


def _pairs(
    first: np.ndarray,
    second: np.ndarray,
    distance: int,
    threads: int,
    within: bool,
    check: Check | None,
    equal: int | None,
) -> Pairs:
    equal = equal or choose_bands(distance, len(first), len(second))
    bands = [bands_of(hashes, distance + equal) for hashes in ((second,) if within else (first, second))]

    def search(chosen: tuple[int, ...]) -> np.ndarray:
        return _search(first, second, bands, chosen, distance, within, check)

    with ThreadPoolExecutor(threads) as pool:
        found = [*pool.map(search, combinations(range(distance + equal), equal))]
    rows, others = np.concatenate(found, axis=1)
    rows, others = np.divmod(np.sort(rows * max(len(second), 1) + others), max(len(second), 1))
    return Pairs(rows, others, np.bitwise_count(first[rows] ^ second[others]))


def pairs_between(
    first: np.ndarray,
    second: np.ndarray,
    distance: int,
    threads: int = 1,
    check: Check | None = None,
    equal: int | None = None,
) -> Pairs:
    """All pairs of one of the hashes `first` and one of `second` (uint64) that differ in at most `distance` bits.

    With `check`, those of them that count: it sees a block of pairs at a time, and the others take no memory. `equal` is the
    number k of equal bands, by default the fastest.
    """
    return _pairs(first, second, distance, threads, False, check, equal)


def pairs_within(
    hashes: np.ndarray, distance: int, threads: int = 1, check: Check | None = None, equal: int | None = None
) -> Pairs:
    """All pairs among `hashes` (uint64) that differ in at most `distance` bits, as `pairs_between`; the first index is the
    smaller."""
    return _pairs(hashes, hashes, distance, threads, True, check, equal)
