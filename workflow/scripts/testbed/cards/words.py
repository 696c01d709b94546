"""Words of captions, and those that tell one set of captions from another."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
LONGEST = 40
KEPT = 20_000
"""Number of different words that a description keeps, the most frequent ones."""


def count_words_in(captions: Iterable[str]) -> Counter:
    """Return how often each word occurs: letters, with hyphens and apostrophes between them, in lower case.

    Text that has no spaces, as in Chinese, gives long runs of letters; those of more than 40 letters are left out.
    """
    counts: Counter = Counter()
    for caption in captions:
        counts.update(word for word in WORD.findall(caption.lower()) if len(word) <= LONGEST)
    return counts


def most_frequent(counts: Mapping[str, int], number: int = KEPT) -> list[tuple[str, int]]:
    """Return the `number` most frequent words with their counts; equal counts in alphabetical order."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:number]


def log_odds(own: Mapping[str, int], other: Mapping[str, int]) -> list[tuple[str, float]]:
    """Return each word with the z-score of its log-odds in `own` against `other`, the highest first.

    This is the log-odds ratio with an informative Dirichlet prior of Monroe, Colaresi and Quinn (2008, "Fightin' Words",
    equations 16, 20 and 22). The prior is the words of both together, scaled to the number of words of the smaller one,
    but to at most 10,000: it moves rare words towards 0. Words that occur fewer than three times are left out.
    """
    words = sorted(word for word in own.keys() | other.keys() if own.get(word, 0) + other.get(word, 0) >= 3)
    totals = sum(own.values()), sum(other.values())
    if not words or not all(totals):
        return []
    counts = [np.array([counted.get(word, 0) for word in words], np.float64) for counted in (own, other)]
    prior = (counts[0] + counts[1]) / sum(totals) * min(10_000, *totals)
    size = prior.sum()
    odds = [
        np.log((count + prior) / (total + size - count - prior)) for count, total in zip(counts, totals, strict=True)
    ]
    variance = sum(1 / (count + prior) for count in counts)
    scores = (odds[0] - odds[1]) / np.sqrt(variance)
    return sorted(zip(words, scores.tolist(), strict=True), key=lambda entry: (-entry[1], entry[0]))
