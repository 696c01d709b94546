"""MetaCLIP's balancing: keeps about t matches of each frequent entry ("Demystifying CLIP Data", Algorithm 1).

A match of an entry with c matches is kept with probability min(1, t / c). A sample is kept if any of its matches is. So
its probability is 1 - prod(1 - min(1, t / c)) over its entries.
"""

import hashlib

import numpy as np


def threshold_of(counts: np.ndarray, tail_fraction: float) -> int:
    """The largest t for which entries with fewer than t matches have at most `tail_fraction` of all matches.

    `counts` has the matches of each entry, at least one above 0. MetaCLIP chooses t so that this tail is 6 %.
    """
    values, numbers = np.unique(counts[counts > 0], return_counts=True)
    shares = np.cumsum(values * numbers) / np.sum(values * numbers)
    return int(values[np.searchsorted(shares, tail_fraction, side="right")])


def keep_probabilities(offsets: np.ndarray, entries: np.ndarray, counts: np.ndarray, t: int) -> np.ndarray:
    """The probability (N,) that each sample is kept. Sample i has the entries entries[offsets[i] : offsets[i + 1]]."""
    missed = np.ones(len(offsets) - 1)
    matched = np.flatnonzero(np.diff(offsets))
    if len(matched):
        factors = 1 - np.minimum(1, t / counts[entries])
        missed[matched] = np.multiply.reduceat(factors, offsets[matched])
    return 1 - missed


def draw(uids: list[str], key: str) -> np.ndarray:
    """A pseudorandom number in [0, 1) for each uid: 53 bits of BLAKE2b of the uid, keyed with `key`."""
    start = hashlib.blake2b(digest_size=8, key=hashlib.sha256(key.encode()).digest())
    content = bytearray()
    for uid in uids:
        one = start.copy()
        one.update(uid.encode())
        content += one.digest()
    return (np.frombuffer(content, ">u8") >> np.uint64(11)) * 2.0**-53
