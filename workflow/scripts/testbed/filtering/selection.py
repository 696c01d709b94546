"""What filters select by: simple rules of a caption's language and length and an image's size, and CLIP scores."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from pyarrow import compute

BINS = 400
EDGES = np.linspace(-1, 1, BINS + 1)


def words_of(captions: pa.ChunkedArray) -> pa.ChunkedArray:
    """Number of words: what stands between white space, as `str.split` counts it."""
    stripped = compute.utf8_trim_whitespace(captions)
    counts = compute.list_value_length(compute.utf8_split_whitespace(stripped))
    return compute.if_else(compute.equal(compute.utf8_length(stripped), 0), 0, counts)


def language_of() -> Callable[[str], str]:
    """A function that names the language of a text by ISO 639-1, as py3langid classifies it."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    # Loading its model takes a second.
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    return lambda text: identifier.classify(text)[0]


def known_languages() -> set[str]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return set(LanguageIdentifier.from_model_file(MODEL_FILE).labels)


def keep_basic(samples: pa.Table, rules: Mapping, language: Callable[[str], str] | None = None) -> np.ndarray:
    """Which of `samples` fulfil all of `rules` (N booleans): the keys of the method basic, and what they say.

    `language` classifies captions where the rules have a language. An image whose size is not known does not fulfil a rule
    of its size.
    """
    captions = samples["caption"]
    sides = [samples["original_width"], samples["original_height"]]
    short, long = compute.min_element_wise(*sides, skip_nulls=False), compute.max_element_wise(*sides, skip_nulls=False)
    measures = {
        "words": lambda: words_of(captions),
        "characters": lambda: compute.utf8_length(captions),
        "side": lambda: short,
        "aspect_ratio": lambda: compute.divide(long.cast(pa.float64()), short.cast(pa.float64())),
    }
    kept = np.ones(len(samples), bool)
    for rule, limit in rules.items():
        bound, _, measure = rule.partition("_")
        if measure in measures:
            compare = compute.greater_equal if bound == "minimum" else compute.less_equal
            kept &= compute.fill_null(compare(measures[measure](), limit), False).to_numpy()
    if "language" in rules:
        # The quick rules first: naming a language takes 30 microseconds.
        for place in np.flatnonzero(kept):
            kept[place] = language(captions[int(place)].as_py()) == rules["language"]
    return kept


def histogram_of(scores: np.ndarray) -> np.ndarray:
    """How many of `scores` (cosine similarities; rounding may take them a little above 1) are in each bin."""
    return np.histogram(np.clip(scores, -1, 1), EDGES)[0]
