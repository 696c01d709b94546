"""The order of samples in a training, which depends on the trainset and the seed alone.

An epoch is a permutation of all samples of the trainset. Epochs follow each other without a gap, and a step takes the next
`batch_size` samples of this sequence. So the samples of a step do not depend on the number of devices or processes, on
checkpoints, or on restarts.

Blocks of `BLOCK` neighbours in a shard follow each other, so that a block is one read of a few hundred kB. Neighbours have
nothing in common, because lists are shuffled before they are sharded. Blocks are in random order.

The samples of each source of a mixture are spread evenly over the epoch. Sample k of n is at the place (k + u) / n, with one
random u in [0, 1) for each source and epoch. So a batch is composed like the mixture, within two samples of a source. Random
sampling would give a standard deviation of sqrt(batch_size * share * (1 - share)).
"""

from collections.abc import Mapping, Sequence

import numpy as np

BLOCK = 8
"""Neighbouring samples that stay together: about 250 kB at 30 kB a sample."""

ORDER, SPREAD, CROP, STEP = range(4)
"""What random numbers are for: each purpose has numbers of its own."""

GOLDEN = 0x9E3779B97F4A7C15


def mix(values: np.ndarray) -> np.ndarray:
    """Return SplitMix64 of 64-bit `values` (Steele et al., OOPSLA 2014): one step of the generator from each of them."""
    values = values + np.uint64(GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def random_bits(purpose: int, seed: int, epochs: np.ndarray | int, numbers: np.ndarray, draws: int) -> np.ndarray:
    """Return random 64-bit integers, shape (len(numbers), draws).

    Row i depends on `purpose`, `seed`, its epoch and numbers[i] alone. `epochs` is one number, or one for each row.
    """
    key = mix(mix(np.array([purpose], np.uint64)) + np.array([seed], np.uint64))
    key = mix(key + np.atleast_1d(np.asarray(epochs, np.uint64)))
    key = mix(key + np.asarray(numbers, np.uint64))
    return mix(key[:, None] + np.uint64(GOLDEN) * np.arange(draws, dtype=np.uint64))


def uniforms(bits: np.ndarray) -> np.ndarray:
    """Return numbers in [0, 1) with 53 random bits, from 64-bit integers."""
    return (bits >> np.uint64(11)) * 2.0**-53


class Order:
    """The sequence of samples of a training.

    `files` are the entries of the trainset's manifest. A sample's number is its place in them. The samples of one epoch are
    in memory, four bytes for each.
    """

    def __init__(self, files: Sequence[Mapping], seed: int):
        self.seed = seed
        parts = [part for file in files for part in file.get("parts", [file])]
        sizes = np.array([part["samples"] for part in parts])
        self.samples = int(sizes.sum())
        blocks = -(-sizes // BLOCK)
        # The number of each block within its part.
        place = np.arange(blocks.sum()) - np.repeat(np.cumsum(blocks) - blocks, blocks)
        self.first = np.repeat(np.cumsum(sizes) - sizes, blocks) + place * BLOCK
        self.length = np.minimum(BLOCK, np.repeat(sizes, blocks) - place * BLOCK)
        names = np.repeat([part["source"] for part in parts], blocks)
        self.sources = [np.nonzero(names == name)[0] for name in sorted(set(names.tolist()))]
        self.epoch, self.sequence = -1, np.empty(0, np.int32)

    def _draw(self, epoch: int) -> np.ndarray:
        """The samples of `epoch` in order."""
        bits = random_bits(ORDER, self.seed, epoch, np.arange(len(self.first)), 1)[:, 0]
        starts = uniforms(random_bits(SPREAD, self.seed, epoch, np.arange(len(self.sources)), 1))
        samples, places = [], []
        for blocks, start in zip(self.sources, starts, strict=True):
            drawn = blocks[np.argsort(bits[blocks], kind="stable")]
            length = self.length[drawn]
            # Each block's samples, one after the other.
            own = np.repeat(self.first[drawn] - (np.cumsum(length) - length), length) + np.arange(length.sum())
            samples.append(own.astype(np.int32))
            places.append((np.arange(len(own)) + start) / len(own))
        return np.concatenate(samples)[np.argsort(np.concatenate(places), kind="stable")]

    def between(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the epochs and the samples at the places `first` to before `last` of the whole training."""
        epochs, samples = [], []
        while first < last:
            epoch, begin = divmod(first, self.samples)
            if epoch != self.epoch:
                self.epoch, self.sequence = epoch, self._draw(epoch)
            own = self.sequence[begin : begin + last - first]
            samples.append(own.astype(np.int64))
            epochs.append(np.full(len(own), epoch))
            first += len(own)
        return np.concatenate(epochs), np.concatenate(samples)
