"""Accuracy over a shift's own classes, as in modestyachts/imagenet-testbed (its settings val-on-<shift>-classes).

ImageNet-R, ImageNet-A and ObjectNet have a subset of ImageNet's classes, which makes them easier than 1,000 classes. So the
reference is also scored over these classes only: on its images of these classes, with predictions among these classes.
If several classes of the reference are one class of the shift (ObjectNet's chair is three ImageNet classes), the largest of
their logits counts. The shift is scored in the same way, with the reference's names of its classes.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.tasks import read_lines
from testbed.records.shipped import shipped

if TYPE_CHECKING:
    import torch

MAP_COLUMNS = ["class", "reference"]


class ClassesError(ValueError):
    """The classes of a shift are not among the reference's, or a class map is wrong."""


@dataclass(frozen=True)
class Subset:
    """The classes of the test set `shift`: for each of its labels, the labels of the reference that it stands for."""

    shift: str
    groups: list[list[int]]

    def restrict(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Logits (N, groups) of the shift's classes from those (N, C) of the reference's: the largest of each group."""
        import torch

        return torch.stack([logits[:, group].amax(dim=1) for group in self.groups], dim=1)

    def without_others(self, logits: "torch.Tensor") -> "torch.Tensor":
        """`logits` (N, C) of the reference's classes, minus infinity for those that are not among the shift's."""
        kept = logits.new_full((logits.shape[1],), float("-inf"))
        kept[[label for group in self.groups for label in group]] = 0.0
        return logits + kept

    def labels_of(self, labels: "torch.Tensor") -> "torch.Tensor":
        """The shift's labels (N,) for the reference's (N,); -1 where the shift has no such class."""
        shift_labels = {label: index for index, group in enumerate(self.groups) for label in group}
        return labels.new_tensor([shift_labels.get(label, -1) for label in labels.tolist()])


def read_class_map(path: Path | str) -> dict[str, list[str]]:
    """The class map in the CSV file `path`: from names of the shift's classes to the reference's, by name or by label.

    The file has the columns `MAP_COLUMNS` and one row per pair; lines that begin with "#" are comments. A class without a
    row has the same name in the reference. Raises `ClassesError` if the file cannot be read as such, or repeats a row.
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
            raise ClassesError(f"{path}: {row} is not a class and a class of the reference. Correct it.")
        name, target = (cell.strip() for cell in row)
        if target in mapped.setdefault(name, []):
            raise ClassesError(f"{path}: {name} has {target} twice. Remove one.")
        mapped[name].append(target)
    return mapped


def match_classes(
    names: Sequence[str], reference: Sequence[str], mapped: Mapping[str, Sequence[str]]
) -> list[list[int]]:
    """For each of a shift's class `names`, the labels of the `reference`'s classes that it stands for.

    `mapped` is the result of `read_class_map`, empty without a map. Raises `ClassesError` if the reference lacks a class or
    has its name twice, and if two classes of the shift share a class of the reference.
    """
    unknown = sorted(set(mapped) - set(names))
    if unknown:
        raise ClassesError(f"{', '.join(unknown)}: no such class in the shift's classnames.txt. Correct the map.")
    groups = [[_find_label(target, name, reference) for target in mapped.get(name, [name])] for name in names]
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
    """Check the class map at `path`, as far as possible before the test sets exist.

    `names` and `reference` are the classnames.txt of the shift and of the reference. Raises `ClassesError` as
    `read_class_map` does and, if both files exist, as `match_classes` does.
    """
    mapped = read_class_map(path)
    if Path(names).is_file() and Path(reference).is_file():
        try:
            match_classes(read_lines(Path(names)), read_lines(Path(reference)), mapped)
        except ClassesError as error:
            raise ClassesError(f"{path}: {error}") from error


def _find_label(target: str, name: str, reference: Sequence[str]) -> int:
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
    """The class subsets of the test sets with fewer classes than the `reference`; `names` has the classes of each test set.

    `maps` has the class maps by test set. A test set whose classes are not all found is left out and logged; if it has a
    class map, it raises `ClassesError`.
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
