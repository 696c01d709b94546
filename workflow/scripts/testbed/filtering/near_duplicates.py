"""Near-duplicates: pairs of images whose hashes are near and whose coefficients are similar, and what is kept of them.

Two images are near-duplicates if their hashes differ in at most `distance` bits and the similarity of their coefficients is
at least `SIMILAR` (testbed.filtering.image_hashes). Flat images, which have no hash, are near-duplicates of nothing.
"""

import numpy as np

from testbed.filtering.hash_search import Check, Pairs, pairs_between, pairs_within
from testbed.filtering.image_hashes import SIMILAR, Hashes, similarity

KEPT = -1
"""What a sample that is kept has in place of the sample that it is a near-duplicate of."""

SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""An odd number that spreads the bits of keys."""

CHECKED = 1 << 17
"""Pairs whose coefficients are compared at once."""


def similar_pairs(first: np.ndarray, second: np.ndarray) -> Check:
    """The check of pairs that are similar by the coefficients of their `first` and their `second` image (N, 64)."""

    def check(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        similar = np.empty(len(one), bool)
        for start in range(0, len(one), CHECKED):
            own = slice(start, start + CHECKED)
            similar[own] = similarity(first[one[own]], second[other[own]]) >= SIMILAR
        return similar

    return check


def near_between(first: Hashes, second: Hashes, distance: int, threads: int = 1) -> Pairs:
    """All near-duplicates of one image of `first` and one of `second`, by their rows in the tables of both."""
    check = similar_pairs(first.coefficients, second.coefficients)
    found = pairs_between(first.hashes, second.hashes, distance, threads, check)
    return Pairs(first.rows[found.first], second.rows[found.second], found.distance)


def first_of_equal(hashes: Hashes) -> np.ndarray:
    """For each image, the index of the first with the same hash and the same coefficients (N)."""
    words = hashes.coefficients.view(np.uint64)
    keys = hashes.hashes.copy()
    for column in words.T:
        keys = (keys ^ keys >> np.uint64(29) ^ column) * SPREAD
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    equal = firsts[inverse]
    # Should two different images ever have the same key, they are told apart here.
    for start in range(0, len(equal), CHECKED):
        own = slice(start, start + CHECKED)
        same = (words[own] == words[equal[own]]).all(axis=1) & (hashes.hashes[own] == hashes.hashes[equal[own]])
        equal[own] = np.where(same, equal[own], np.arange(start, start + len(same)))
    return equal


def keep_first(number: int, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """For each of `number` images, the kept image before it that it is a near-duplicate of, or `KEPT`; and the distance.

    Images are taken in order. One is kept unless it is a near-duplicate of one that is kept. Of several such, the first is
    returned. So no two kept images are near-duplicates, and which are kept does not depend on images after them. Each round
    decides the images whose earlier near-duplicates are all decided.
    """
    near, distance = np.full(number, KEPT), np.zeros(number, pairs.distance.dtype)
    open_ = np.zeros(number, bool)
    open_[pairs.second] = True
    kept = ~open_
    left = np.arange(len(pairs.first))
    while len(left):
        first, second = pairs.first[left], pairs.second[left]
        waiting = np.zeros(number, bool)
        waiting[second[open_[first]]] = True
        dropping = kept[first]
        # The first kept one is known only once all before it are decided. Written from the last on, so the first stays.
        ready = left[dropping & ~waiting[second]][::-1]
        near[pairs.second[ready]], distance[pairs.second[ready]] = pairs.first[ready], pairs.distance[ready]
        decided = np.zeros(number, bool)
        decided[second[~waiting[second]]] = True
        open_ &= ~decided
        kept |= decided & (near == KEPT)
        left = left[~decided[second]]
    return near, distance


def near_before(hashes: Hashes, distance: int, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """`keep_first` for the rows of the table that `hashes` are of."""
    # An image that is equal to an earlier one has the same near-duplicates, so it has the same fate.
    equal = first_of_equal(hashes)
    own = np.flatnonzero(equal == np.arange(len(hashes)))
    coefficients = hashes.coefficients[own]
    found = pairs_within(hashes.hashes[own], distance, threads, similar_pairs(coefficients, coefficients))
    of_hashes, distances = keep_first(len(hashes), Pairs(own[found.first], own[found.second], found.distance))
    # Of a kept image, the later equal ones are near-duplicates. Of a dropped one, they are of what it is one of.
    copies = np.flatnonzero(equal != np.arange(len(hashes)))
    originals = equal[copies]
    of_hashes[copies] = np.where(of_hashes[originals] == KEPT, originals, of_hashes[originals])
    distances[copies] = distances[originals]
    near, far = np.full(hashes.size, KEPT), np.zeros(hashes.size, np.int64)
    dropped = of_hashes != KEPT
    near[hashes.rows[dropped]], far[hashes.rows[dropped]] = hashes.rows[of_hashes[dropped]], distances[dropped]
    return near, far
