"""The task of a test set and checks of its files, with the standard library only, because rules use them too."""

import tarfile
from itertools import islice
from pathlib import Path
from string import Formatter

from testbed.experiment.errors import ExperimentError

CLASS_FILES = ("classnames.txt", "zeroshot_classification_templates.txt")
CLIP_BENCHMARK_FILES = (*CLASS_FILES, "test/nshards.txt")

TARGET_EXTENSIONS = {"classification": "cls", "multilabel": "npy", "retrieval": "txt"}
"""File extension of a sample's target, by task."""

FIRST_LABELS = 100
"""Labels that are read before any job starts. A shard may be of many gigabytes, and decode_testset checks all labels."""


class TestsetError(RuntimeError):
    """A test set lacks something, or a file of it is wrong."""

    # So that pytest does not collect it as a class of tests.
    __test__ = False


def task_of(folder: Path) -> str:
    """The task of the test set in `folder`: classification, multilabel or retrieval; raises `TestsetError` for others."""
    try:
        task = (folder / "dataset_type.txt").read_text(encoding="utf-8", errors="replace").strip().lower()
    except FileNotFoundError:
        return "classification"
    if task not in TARGET_EXTENSIONS:
        raise TestsetError(
            f"{folder}/dataset_type.txt: {task!r} is none of {', '.join(TARGET_EXTENSIONS)}. Correct it."
        )
    return task


def read_lines(path: Path) -> list[str]:
    """The lines of a file without surrounding white space, as CLIP_benchmark reads class names and templates."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def check_classes(folder: Path) -> int:
    """Check the class names and the templates of the test set in `folder`, and return the number of its classes.

    Raises `TestsetError` with file and line. CLIP_benchmark formats a template without `{c}` without an error: all classes
    get the same text, and accuracy is at chance.
    """
    texts = []
    for path in [folder / name for name in CLASS_FILES]:
        try:
            texts.append(read_lines(path))
        except UnicodeDecodeError as error:
            raise TestsetError(f"{path}: is not UTF-8 ({error}). Save it as UTF-8.") from error
        if not texts[-1]:
            raise TestsetError(f"{path}: is empty. Write one line for each class name, or for each template.")
        if "" in texts[-1]:
            raise TestsetError(
                f"{path}, line {texts[-1].index('') + 1}: is empty. Remove the line, or write what it lacks."
            )
    names, templates = texts
    for number, template in enumerate(templates, 1):
        if not is_template(template):
            raise TestsetError(
                f"{folder / CLASS_FILES[1]}, line {number}: {template!r} is not a template. Write {{c}} where the class "
                "name stands, as in 'a photo of a {c}', no other field in braces, and {{ or }} for a brace itself."
            )
    return len(names)


def is_template(text: str) -> bool:
    """Return whether `text` is a format string with the field `c`, once or more, and no other."""
    try:
        return {field for _, field, _, _ in Formatter().parse(text) if field is not None} == {"c"}
    except ValueError:
        return False


def parse_label(content: bytes, place: str, classes: int) -> int:
    """The label in the `content` of the cls file at `place`; raises `TestsetError` unless it is one of `classes` labels."""
    try:
        label = int(content)
    except ValueError:
        label = -1
    if not 0 <= label < classes:
        raise TestsetError(
            f"{place}: has {content[:60].decode(errors='replace')!r}, which is not a label from 0 to {classes - 1}. Labels "
            f"count from 0 in the order of classnames.txt, which has {classes} names. Correct the label or the names."
        )
    return label


def check_first_labels(shard: Path, classes: int) -> None:
    """Raise `TestsetError` if `shard` has no cls file, or if one of the first `FIRST_LABELS` has a wrong label."""
    found = False
    try:
        with tarfile.open(shard) as archive:
            labels = (member for member in archive if member.isfile() and member.name.lower().endswith(".cls"))
            for member in islice(labels, FIRST_LABELS):
                parse_label(archive.extractfile(member).read(), f"{shard}: {member.name}", classes)
                found = True
    except (OSError, tarfile.TarError) as error:
        raise TestsetError(f"{shard}: cannot be read ({error}). Copy the test set again.") from error
    if not found:
        raise TestsetError(
            f"{shard}: has no .cls file, and a test set for classification has one with a label for each image. Add "
            "them, or name another task in dataset_type.txt."
        )


def check_testset(name: str, folder: Path | str) -> str:
    """Check that `folder` is a test set in CLIP_benchmark's local format; raises `ExperimentError` if it is not.

    Of the labels, only the first are checked.

    Returns the path of the first required file: the class names, or for image-text retrieval, which has captions instead,
    the number of shards.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ExperimentError(
            f"testsets.{name}.path: {folder} is not a folder. Put the test set there or change the path."
        )
    try:
        task = task_of(folder)
    except TestsetError as error:
        raise ExperimentError(f"testsets.{name}.path: {error}") from error
    files = CLIP_BENCHMARK_FILES[-1:] if task == "retrieval" else CLIP_BENCHMARK_FILES
    for required in files:
        if not (folder / required).is_file():
            raise ExperimentError(
                f"testsets.{name}.path: {folder / required} is missing. A test set holds {', '.join(files)} "
                "and test/0.tar, test/1.tar, ... (CLIP_benchmark's local WebDataset format)."
            )
    count = (folder / "test/nshards.txt").read_text().strip()
    if not count.isdecimal() or int(count) == 0:
        raise ExperimentError(
            f"testsets.{name}.path: {folder}/test/nshards.txt says {count!r}, which is not the number of test/N.tar files. "
            "Correct it."
        )
    for shard in range(int(count)):
        if not (folder / "test" / f"{shard}.tar").is_file():
            raise ExperimentError(
                f"testsets.{name}.path: {folder}/test/{shard}.tar is missing, but test/nshards.txt says {count} shards. "
                "Copy the test set again."
            )
    try:
        classes = 0 if task == "retrieval" else check_classes(folder)
        if task == "classification":
            check_first_labels(folder / "test/0.tar", classes)
    except TestsetError as error:
        raise ExperimentError(f"testsets.{name}.path: {error}") from error
    return str(folder / files[0])
