"""The error of an invalid experiment, and suggestions for unknown names."""

from collections.abc import Iterable
from difflib import get_close_matches


class ExperimentError(ValueError):
    """The experiment is invalid.

    The message has a line for each mistake, with the key, the value and what to do.
    """


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """Return a question with the known name most similar to `word`, to append to a sentence; empty if none is similar."""
    similar = get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" Did you mean {similar[0]}?" if similar else ""
