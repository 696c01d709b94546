"""What parts of the experiment raise, and how they help with a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


class ExperimentError(ValueError):
    """The experiment asks for something that cannot be done.

    The message has a line for each mistake, which says the key, the value and the way out.
    """


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """A question with the known name that is most like `word`, to be put behind a sentence; empty where none is."""
    near = get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" Did you mean {near[0]}?" if near else ""
