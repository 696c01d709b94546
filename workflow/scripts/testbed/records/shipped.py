"""Files that the workflow ships: its experiments and small facts, which are found from any working directory."""

from pathlib import Path

ROOT = Path(__file__).parents[4]
FOLDERS = {"config", "resources"}


def shipped(path: Path | str) -> str:
    """`path`, which is relative to the working directory; where nothing is there, the path of what the workflow ships.

    Parameters and records keep the relative path, so that they are equal wherever the workflow lies.
    """
    own = ROOT / path
    is_shipped = set(Path(path).parts[:1]) <= FOLDERS and not Path(path).exists() and own.exists()
    return str(own if is_shipped else path)


def shipped_name(path: Path | str) -> str:
    """The relative path by which `shipped` finds `path`; `path` itself where the workflow does not ship it."""
    path = Path(path)
    inside = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return str(inside if set(inside.parts[:1]) <= FOLDERS else path)
