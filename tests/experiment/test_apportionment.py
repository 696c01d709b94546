"""Samples are shared out among the members of a mixture by Webster's method."""

from fractions import Fraction

import numpy as np
import pytest

from processes import cpu_seconds
from testbed.experiment.experiment import apportion


def webster(size: int, shares: dict[str, float]) -> dict[str, int]:
    """Samples given one after the other, each to the member with the smallest (2 count + 1) / share, the first of equals."""
    counts = dict.fromkeys(shares, 0)
    for _ in range(size):
        counts[min(shares, key=lambda name: (2 * counts[name] + 1) / Fraction(str(shares[name])))] += 1
    return counts


def random_shares(number: int) -> dict[str, float]:
    rng = np.random.default_rng(number)
    shares = rng.integers(1, 100, rng.integers(2, 7)) / rng.choice([1, 3, 10, 100])
    return {f"m{place}": round(float(share), 4) for place, share in enumerate(shares)}


@pytest.mark.parametrize("number", range(60))
def test_samples_are_shared_out_as_by_webster(number):
    shares = random_shares(number)
    before = dict.fromkeys(shares, 0)
    for size in range(401):
        counts = apportion(size, shares)
        assert sum(counts.values()) == size
        # House-monotone: what a member has at one size it has at every larger one, so trainsets are nested.
        assert all(counts[name] >= before[name] for name in shares)
        before = counts
    assert before == webster(400, shares)
    assert apportion(137, shares) == webster(137, shares)


@pytest.mark.parametrize(
    ("size", "shares", "counts"),
    [
        (0, {"a": 1, "b": 1}, [0, 0]),
        (1, {"a": 0.5, "b": 0.5}, [1, 0]),
        (3, {"b": 1, "a": 1}, [2, 1]),
        (5, {"a": 1, "b": 1, "c": 1}, [2, 2, 1]),
        (1000, {"a": 0.1, "b": 0.2, "c": 0.7}, [100, 200, 700]),
        (10, {"a": 30, "b": 70}, [3, 7]),
        # The textbook case of the Alabama paradox: by largest remainders c has 2 of 10, and 1 of 11.
        (10, {"a": 6, "b": 6, "c": 2}, [5, 4, 1]),
        (11, {"a": 6, "b": 6, "c": 2}, [5, 5, 1]),
        (12, {"a": 6, "b": 6, "c": 2}, [5, 5, 2]),
    ],
)
def test_known_apportionments(size, shares, counts):
    assert list(apportion(size, shares).values()) == counts


@pytest.mark.parametrize("number", range(20))
def test_two_members_are_as_near_to_their_shares_as_whole_samples_can_be(number):
    first = (number + 1) / 22
    for size in range(0, 400, 7):
        assert abs(apportion(size, {"a": first, "b": 1 - first})["a"] - size * first) <= 0.5 + 1e-9


def test_large_trainsets_are_shared_out_at_once():
    shares = {name: 1 / 7 + place / 1000 for place, name in enumerate("abcdef")}
    started = cpu_seconds()
    counts = apportion(15_000_000, shares)
    assert cpu_seconds() - started < 1
    assert sum(counts.values()) == 15_000_000
    total = sum(shares.values())
    assert all(abs(counts[name] - 15_000_000 * share / total) < 1 for name, share in shares.items())
