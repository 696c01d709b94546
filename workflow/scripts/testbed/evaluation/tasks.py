"""Test sets as folders: what is asked of them, and whether they are whole; with the standard library, for rules ask too."""

from pathlib import Path

from testbed.experiment.errors import ExperimentError

CLIP_BENCHMARK_FILES = ("classnames.txt", "zeroshot_classification_templates.txt", "test/nshards.txt")

ANSWERS = {"classification": "cls", "multilabel": "npy", "retrieval": "txt"}
"""The extension of the answer, by the test set's task."""


class TestsetError(RuntimeError):
    """A test set does not hold what it has to."""

    # Not a class of tests, whatever its name begins with.
    __test__ = False


def task_of(folder: Path) -> str:
    """What is asked of the test set in `folder`: classification, multilabel or retrieval; raises `TestsetError` else."""
    try:
        task = (folder / "dataset_type.txt").read_text(encoding="utf-8", errors="replace").strip().lower()
    except FileNotFoundError:
        return "classification"
    if task not in ANSWERS:
        raise TestsetError(f"{folder}/dataset_type.txt: {task!r} is none of {', '.join(ANSWERS)}. Correct it.")
    return task


def check_testset(name: str, folder: Path | str) -> str:
    """Check that `folder` is a test set in CLIP_benchmark's local format; raises `ExperimentError` where it is not.

    Returns the path of the first file that it must hold: its class names, or the number of shards of one for image-text
    retrieval, which has captions instead.
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
    needed = CLIP_BENCHMARK_FILES[-1:] if task == "retrieval" else CLIP_BENCHMARK_FILES
    for required in needed:
        if not (folder / required).is_file():
            raise ExperimentError(
                f"testsets.{name}.path: {folder / required} is missing. A test set holds {', '.join(needed)} "
                "and test/0.tar, test/1.tar, ... (CLIP_benchmark's local WebDataset format)."
            )
    count = (folder / "test/nshards.txt").read_text().strip()
    if not count.isdecimal() or int(count) == 0:
        raise ExperimentError(
            f"testsets.{name}.path: {folder}/test/nshards.txt says {count!r}, and not how many test/N.tar there are."
        )
    for shard in range(int(count)):
        if not (folder / "test" / f"{shard}.tar").is_file():
            raise ExperimentError(
                f"testsets.{name}.path: {folder}/test/{shard}.tar is missing, and test/nshards.txt promises it. "
                "Copy the test set again."
            )
    return str(folder / needed[0])
