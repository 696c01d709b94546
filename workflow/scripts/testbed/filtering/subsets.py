"""DataComp's subset files: uids of 32 hexadecimal digits as sorted pairs of 64-bit numbers, in NumPy's format.

The first number has the first 16 digits. See github.com/mlfoundations/datacomp, baselines/apply_filter.py and
resharder.py.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from testbed.records.parts import parts_of, read_part

PAIR = np.dtype([("f0", "<u8"), ("f1", "<u8")])
UID = re.compile(r"[0-9a-f]{32}")


class SubsetError(ValueError):
    """A subset file is missing, or is not of pairs of 64-bit numbers; or a uid is not of 32 hexadecimal digits."""


def pairs_of(uids: Sequence[str]) -> np.ndarray:
    """Return uids of 32 hexadecimal digits as an array (N,) of PAIR. Raises `SubsetError` for others."""
    text = "".join(uids).lower()
    try:
        if any(len(uid) != 32 for uid in uids):
            raise ValueError
        return np.frombuffer(bytes.fromhex(text), ">u8").astype("<u8").view(PAIR)
    except ValueError:
        wrong = next((uid for uid in uids if not UID.fullmatch(uid.lower())), "")
        raise SubsetError(f"uid {wrong!r} is not of 32 hexadecimal digits") from None


def uid_column(tables: pa.Table) -> str:
    """Return the column with the uids that a subset file names: DataComp's own, where the list has them, or the pool's."""
    if "source_uid" in tables.column_names and pa.types.is_string(tables["source_uid"].type):
        some = [uid for uid in tables["source_uid"].slice(0, 1000).to_pylist() if uid is not None]
        if some and all(UID.fullmatch(uid.lower()) for uid in some):
            return "source_uid"
    return "uid"


def uid_column_of(samples: Path) -> str:
    """Return `uid_column` of the table of samples in the folder `samples`, by its first part that has rows."""
    filled = [file for file in parts_of(samples).values() if file["rows"]]
    return uid_column(read_part(samples, filled[0])) if filled else "uid"


def open_subset(path: str | Path) -> np.ndarray:
    """Return the pairs in the file `path`, mapped from disk. Raises `SubsetError` if it is no subset file."""
    try:
        pairs = np.load(path, mmap_mode="r")
    except FileNotFoundError as error:
        raise SubsetError(f"{path}: there is no such file. Put it there, or correct the path") from error
    except (OSError, ValueError, EOFError) as error:
        raise SubsetError(f"{path}: is not an array in NumPy's format ({error}). Write it with numpy.save") from error
    kinds = [pairs.dtype[number] for number in range(len(pairs.dtype))]
    if pairs.ndim != 1 or kinds != [np.dtype("u8")] * 2:
        raise SubsetError(
            f"{path}: is an array of {pairs.dtype} with {pairs.ndim} dimensions, not a list of pairs of 64-bit numbers. "
            'Write uids as DataComp does, with the dtype "u8,u8"'
        )
    return pairs


class Subset:
    """The uids of a subset file, in memory: 16 bytes each."""

    def __init__(self, path: str | Path):
        pairs = open_subset(path)
        first, second = pairs.dtype.names
        # Contiguous: a search in one field of the pairs would copy it each time.
        self.high, self.low = np.ascontiguousarray(pairs[first]), np.ascontiguousarray(pairs[second])
        if not self.is_sorted():
            order = np.lexsort((self.low, self.high))
            self.high, self.low = self.high[order], self.low[order]

    def __len__(self) -> int:
        return len(self.high)

    def is_sorted(self) -> bool:
        same = self.high[1:] == self.high[:-1]
        return bool(np.all((self.high[1:] > self.high[:-1]) | (same & (self.low[1:] >= self.low[:-1]))))

    def contains(self, uids: Sequence[str | None]) -> np.ndarray:
        """Whether each of `uids` is named (N booleans); None is not. Raises `SubsetError` for one of another form."""
        named = np.zeros(len(uids), bool)
        known = [place for place, uid in enumerate(uids) if uid is not None]
        if known:
            named[known] = self._contains([uids[place] for place in known])
        return named

    def _contains(self, uids: Sequence[str]) -> np.ndarray:
        pairs = pairs_of(uids)
        # Sorted queries find their places in a long list several times as fast.
        order = np.argsort(pairs["f0"], kind="stable")
        found, asked = np.zeros(len(pairs), bool), pairs[order]
        place, stop = (np.searchsorted(self.high, asked["f0"], side) for side in ("left", "right"))
        waiting = np.flatnonzero(place < stop)
        while len(waiting):
            found[order[waiting[self.low[place[waiting]] == asked["f1"][waiting]]]] = True
            place[waiting] += 1
            waiting = waiting[place[waiting] < stop[waiting]]
        return found


def subset_problems(path: str) -> Iterator[str]:
    """Yield a line if the file `path` is no subset file."""
    try:
        open_subset(path)
    except SubsetError as error:
        yield f"{error}."
