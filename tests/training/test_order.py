"""The order of samples: exact epochs, the same on any machine, and batches that are composed like the mixture."""

import subprocess
import sys

import numpy as np
import pytest

from testbed.training.order import BLOCK, Order, mix, random_bits, uniforms


def files_of(sizes: dict[str, list[int]], cut: dict[str, int] | None = None) -> list[dict]:
    """Entries of a trainset's manifest: whole shards of each source, and a last one with parts of several."""
    files = [{"source": source, "samples": size} for source, own in sizes.items() for size in own]
    if cut:
        parts = [{"source": source, "samples": size} for source, size in cut.items()]
        files.append({"samples": sum(cut.values()), "parts": parts})
    return files


TRAINSETS = {
    "one shard": files_of({"a": [331]}),
    "fifty shards": files_of({"a": [50] * 49 + [7]}),
    "three sources": files_of({"a": [100, 100], "b": [100, 31], "c": [100]}, {"a": 41, "b": 3, "c": 77}),
    "fewer than a block": files_of({"a": [5]}),
}


def test_random_bits_are_those_of_splitmix64():
    """The first outputs for the seed 1234567, as published with its reference implementation."""
    state = np.uint64(1234567) + np.uint64(0x9E3779B97F4A7C15) * np.arange(5, dtype=np.uint64)
    assert mix(state).tolist() == [
        *(6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821),
    ]


def test_random_bits_depend_on_their_own_key_alone():
    bits = random_bits(1, 7, 3, np.arange(1000), 4)
    assert (random_bits(1, 7, 3, np.array([999, 0]), 4) == bits[[999, 0]]).all()
    assert (random_bits(1, 7, np.array([3, 4]), np.array([5, 5]), 4)[0] == bits[5]).all()
    others = [random_bits(*key, np.arange(1000), 4) for key in ((2, 7, 3), (1, 8, 3), (1, 7, 4))]
    assert len(np.unique(np.concatenate([bits, *others]))) == 4 * 4000
    numbers = uniforms(bits)
    assert numbers.min() >= 0 and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.02


@pytest.mark.parametrize("name", TRAINSETS)
def test_every_epoch_has_each_sample_once(name):
    order = Order(TRAINSETS[name], seed=3)
    epochs, samples = order.between(0, 4 * order.samples)
    assert epochs.tolist() == np.repeat(range(4), order.samples).tolist()
    rows = samples.reshape(4, -1)
    assert (np.sort(rows) == np.arange(order.samples)).all()
    assert len({tuple(row) for row in rows.tolist()}) == 4 or order.samples <= BLOCK


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINSETS)
def test_the_sequence_does_not_depend_on_how_it_is_asked_for(name):
    order = Order(TRAINSETS[name], seed=3)
    whole = np.stack(order.between(0, 3 * order.samples))
    for size in (1, 7, 64, 500):
        pieces = [
            np.stack(Order(TRAINSETS[name], 3).between(first, min(first + size, whole.shape[1])))
            for first in reversed(range(0, whole.shape[1], size))
        ][:40]
        expected = [whole[:, first : first + size] for first in reversed(range(0, whole.shape[1], size))][:40]
        assert all((piece == own).all() for piece, own in zip(pieces, expected, strict=True))


def test_another_seed_is_another_order():
    first, other = (Order(TRAINSETS["three sources"], seed).between(0, 100)[1] for seed in (0, 1))
    assert (first == other).mean() < 0.2


@pytest.mark.parametrize("name", ["fifty shards", "three sources"])
def test_a_batch_is_read_in_blocks(name):
    """The samples of a batch are whole blocks of their shards, but for one of each source at either end."""
    order = Order(TRAINSETS[name], seed=0)
    parts = [part["samples"] for file in TRAINSETS[name] for part in file.get("parts", [file])]
    short = len(parts)
    for first in range(0, order.samples - 128, 128):
        samples = np.sort(order.between(first, first + 128)[1])
        reads = 1 + (np.diff(samples) != 1).sum()
        assert reads <= 128 / BLOCK + 2 * len(order.sources) + short / 2


def test_every_place_is_as_likely_for_every_block():
    files = files_of({"a": [400]})
    places = [np.argsort(Order(files, seed).between(0, 400)[1])[::BLOCK] // BLOCK for seed in range(2000)]
    counts = np.stack([np.bincount(own, minlength=50) for own in np.stack(places).T])
    # Chi-squared over 50 places for each of 50 blocks.
    statistic = ((counts - 40) ** 2 / 40).sum()
    assert abs(statistic - 49 * 50) < 5 * np.sqrt(2 * 49 * 50)


@pytest.mark.parametrize(
    ("batch", "shares"), [(1024, (0.5, 0.5)), (1024, (0.1, 0.3, 0.6)), (64, (0.5, 0.5)), (64, (0.9, 0.1))]
)
def test_batches_are_composed_as_well_as_by_random_sampling(batch, shares):
    """The share of a source varies less over batches than if each sample were drawn on its own; its mean is exact."""
    size = 200 * batch
    sizes = [round(share * size) for share in shares]
    order = Order(files_of({str(number): [own] for number, own in enumerate(sizes)}), seed=1)
    samples = order.between(0, size)[1].reshape(-1, batch)
    source = np.searchsorted(np.cumsum(sizes), samples, side="right")
    for number, share in enumerate(shares):
        counts = (source == number).sum(axis=1)
        assert counts.mean() == pytest.approx(batch * share)
        assert counts.std() < np.sqrt(batch * share * (1 - share)) / 2
        assert abs(counts - batch * share).max() <= 2


MILLIONS = """
import time
from pathlib import Path
import numpy as np
from testbed.training.order import Order
started = time.monotonic()
files = [{"source": "ab"[number % 2], "samples": 10_000} for number in range(1500)]
order = Order(files, 0)
epochs, samples = order.between(14_999_000, 15_001_000)
# The peak of this process; getrusage would count its parent's.
kilobytes = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(len(samples), time.monotonic() - started, int(kilobytes) / 1e6)
"""


@pytest.mark.slow
def test_fifteen_million_samples_take_seconds_and_little_memory(scripts_environment):
    """The order of two epochs: the first 1,000 of the second and the last 1,000 of the first."""
    result = subprocess.run(
        [sys.executable, "-c", MILLIONS], env=scripts_environment, capture_output=True, text=True, check=True
    )
    count, seconds, gigabytes = map(float, result.stdout.split())
    assert count == 2000 and seconds < 20 and gigabytes < 2
