"""Accuracy over a shift's own classes, as modestyachts/imagenet-testbed has it (its settings val-on-<shift>-classes).

ImageNet-R, ImageNet-A and ObjectNet have a part of ImageNet's classes, which makes them easier than 1,000 classes are. So
the reference is scored once more over these classes alone: its images of them, and the prediction is the best among them.
Where several of the reference's classes are one of the shift's (ObjectNet's chair is three of ImageNet's), the best of them
counts for it. The shift is scored in the same way, by the reference's names of its classes.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.testsets import read_lines
from testbed.records.shipped import shipped

if TYPE_CHECKING:
    import torch

MAP_COLUMNS = ["class", "reference"]


class ClassesError(ValueError):
    """The classes of a shift are not among the reference's, or a map of them does not fit."""


@dataclass(frozen=True)
class Subset:
    """The classes of the test set `shift`: of each of its labels, the labels of the reference that it stands for."""

    shift: str
    groups: list[list[int]]

    def restrict(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Logits of the shift's classes (N, groups) from those of the reference's (N, C): the best of each group."""
        import torch

        return torch.stack([logits[:, group].amax(dim=1) for group in self.groups], dim=1)

    def labels_of(self, labels: "torch.Tensor") -> "torch.Tensor":
        """The shift's labels (N,) for the reference's (N,); -1 where the shift has no such class."""
        own = {label: place for place, group in enumerate(self.groups) for label in group}
        return labels.new_tensor([own.get(label, -1) for label in labels.tolist()])


def read_class_map(path: Path | str) -> dict[str, list[str]]:
    """A map of classes: for names of the shift's classes, the reference's classes by name or by label.

    It is a CSV file with the columns `MAP_COLUMNS`, one row per pair, below lines that begin with "#". A class without a
    row has the reference's name. Raises `ClassesError` for a file that is missing or no such table, and for a repeated row.
    """
    try:
        lines = Path(shipped(path)).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassesError(f"{path}: cannot be read ({error}). Correct the path or the file.") from error
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    if not rows or rows[0] != MAP_COLUMNS:
        raise ClassesError(f"{path}: must have the columns {','.join(MAP_COLUMNS)}, and has {rows[:1]}. Correct it.")
    mapped: dict[str, list[str]] = {}
    for row in rows[1:]:
        if len(row) != len(MAP_COLUMNS) or not all(cell.strip() for cell in row):
            raise ClassesError(f"{path}: {row} is not a class and one of the reference's. Correct it.")
        name, target = (cell.strip() for cell in row)
        if target in mapped.setdefault(name, []):
            raise ClassesError(f"{path}: {name} has {target} twice. Take one out.")
        mapped[name].append(target)
    return mapped


def match_classes(
    names: Sequence[str], reference: Sequence[str], mapped: Mapping[str, Sequence[str]]
) -> list[list[int]]:
    """For each of a shift's class `names`, the labels of the `reference`'s classes that it stands for.

    `mapped` is what `read_class_map` gives, and empty where there is no map. Raises `ClassesError` for a class without a
    counterpart, a counterpart that the reference lacks or has twice by that name, and one that two classes share.
    """
    unknown = sorted(set(mapped) - set(names))
    if unknown:
        raise ClassesError(f"{', '.join(unknown)}: no such class in the shift's classnames.txt. Correct the map.")
    groups = [[_label_of(target, name, reference) for target in mapped.get(name, [name])] for name in names]
    owner: dict[int, str] = {}
    for name, group in zip(names, groups, strict=True):
        for label in group:
            if label in owner:
                raise ClassesError(
                    f"{reference[label]} (label {label}) of the reference stands for {owner[label]} and for {name}. Give "
                    "it to one of them in the map."
                )
            owner[label] = name
    return groups


def check_class_map(path: Path | str, names: Path | str, reference: Path | str) -> None:
    """Check the map at `path`, as far as it can be known before the test sets are there.

    `names` and `reference` are the classnames.txt of the shift and of the reference. Raises `ClassesError` as
    `read_class_map` does, and as `match_classes` where both files exist.
    """
    mapped = read_class_map(path)
    if Path(names).is_file() and Path(reference).is_file():
        try:
            match_classes(read_lines(Path(names)), read_lines(Path(reference)), mapped)
        except ClassesError as error:
            raise ClassesError(f"{path}: {error}") from error


def _label_of(target: str, name: str, reference: Sequence[str]) -> int:
    labels = [label for label, known in enumerate(reference) if known == target]
    if not labels and target.isdecimal() and int(target) < len(reference):
        return int(target)
    if len(labels) != 1:
        fault = f"is the name of several ({', '.join(map(str, labels))})" if labels else "is none"
        raise ClassesError(
            f"{name}: {target} {fault} of the reference's {len(reference)} classes. Name one in a map of the classes "
            "(testsets.*.classes), by name or by label."
        )
    return labels[0]


def find_subsets(names: Mapping[str, Sequence[str]], reference: str, maps: Mapping[str, Path | str]) -> list[Subset]:
    """The subsets of the `reference`'s classes that other test sets have; `names` are the classes of each test set.

    One with as many classes as the reference is no subset. One whose classes are not all found by name is left out and
    logged; with a map (`maps`, test set to its file) that raises `ClassesError`.
    """
    subsets = []
    for shift, own in names.items():
        if shift == reference or (shift not in maps and len(own) >= len(names[reference])):
            continue
        try:
            mapped = read_class_map(maps[shift]) if shift in maps else {}
            subsets.append(Subset(shift, match_classes(own, names[reference], mapped)))
        except ClassesError as error:
            if shift in maps:
                raise ClassesError(f"testsets.{shift}.classes: {maps[shift]}: {error}") from error
            logging.warning("%s: %s is not scored over its classes. %s", shift, reference, error)
    return subsets
