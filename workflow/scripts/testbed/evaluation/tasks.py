"""The task of a test set and a check of its files, with the standard library only, because rules use them too."""

from pathlib import Path

from testbed.experiment.errors import ExperimentError

CLIP_BENCHMARK_FILES = ("classnames.txt", "zeroshot_classification_templates.txt", "test/nshards.txt")

TARGET_EXTENSIONS = {"classification": "cls", "multilabel": "npy", "retrieval": "txt"}
"""File extension of a sample's target, by task."""


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


def check_testset(name: str, folder: Path | str) -> str:
    """Check that `folder` is a test set in CLIP_benchmark's local format; raises `ExperimentError` if it is not.

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
    return str(folder / files[0])
