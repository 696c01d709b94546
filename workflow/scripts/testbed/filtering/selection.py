"""Criteria of filters: rules on a caption's language and length and on an image's size, and histograms of CLIP scores."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from pyarrow import compute

BINS = 400
EDGES = np.linspace(-1, 1, BINS + 1)


def count_words(captions: pa.ChunkedArray) -> pa.ChunkedArray:
    """Number of words in each caption, separated by white space as in `str.split`."""
    stripped = compute.utf8_trim_whitespace(captions)
    counts = compute.list_value_length(compute.utf8_split_whitespace(stripped))
    return compute.if_else(compute.equal(compute.utf8_length(stripped), 0), 0, counts)


def load_classifier() -> Callable[[str], str]:
    """A function that classifies the language of a text with py3langid; it returns the ISO 639-1 code."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    # Loading the model takes a second.
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    return lambda text: identifier.classify(text)[0]


def known_languages() -> set[str]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return set(LanguageIdentifier.from_model_file(MODEL_FILE).labels)


def keep_basic(samples: pa.Table, rules: Mapping, language: Callable[[str], str] | None = None) -> np.ndarray:
    """Whether each of `samples` fulfils all `rules` (N booleans), which are the keys of the method basic and their values.

    `language` classifies captions where the rules have a language. An image of unknown size fulfils no rule on its size.
    """
    captions = samples["caption"]
    sides = [samples["original_width"], samples["original_height"]]
    short, long = compute.min_element_wise(*sides, skip_nulls=False), compute.max_element_wise(*sides, skip_nulls=False)
    measures = {
        "words": lambda: count_words(captions),
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
        # After the fast rules: classifying a language takes 30 microseconds.
        for place in np.flatnonzero(kept):
            kept[place] = language(captions[int(place)].as_py()) == rules["language"]
    return kept


def histogram_of(scores: np.ndarray) -> np.ndarray:
    """Number of `scores` in each bin. Scores are cosine similarities, which rounding errors may raise a little above 1."""
    return np.histogram(np.clip(scores, -1, 1), EDGES)[0]
