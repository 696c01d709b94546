"""What is asked of a test set, which its dataset_type.txt says; with the standard library alone, for rules ask it too."""

from pathlib import Path

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
