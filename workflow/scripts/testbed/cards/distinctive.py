"""The part of a card with the words that tell a pool, or a part of it, from others."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from testbed.cards.charts import bars
from testbed.cards.template import STYLES, label_of, styles_of
from testbed.cards.words import log_odds, most_frequent

SHOWN_WORDS = 15
Counts = Mapping[str, int]
"""How often each word occurs; the empty word stands for all words not listed."""
Words = Mapping[str, Counts]
"""The counts of each group of a pool, or of each pool."""


def distinctive_words(groups: Sequence[Mapping], words: Words, rivals: Words) -> str:
    """Return, as HTML, the words with the highest log-odds in one of two `groups` against the other one.

    Of one group, these are the words that are more, and less, frequent than in the `rivals`. Of more than two groups, they
    are those of each against all others together.
    """
    counts, styles = [words[group["name"]] for group in groups], styles_of(groups)
    if len(groups) == 1:
        other = summed(rivals.values())
        charts = [
            chart_of("More than in the other sources", more_in(counts[0], other), counts[0], other, STYLES),
            chart_of("More in the other sources", more_in(other, counts[0]), counts[0], other, STYLES),
        ]
        of = "this pool (first bar) and the other sources (second)"
    elif len(groups) == 2:
        names = [label_of(group) if "label" in group else f"what is {group['name']}" for group in groups]
        found = more_in(*counts), more_in(*reversed(counts))
        charts = [chart_of(f"More in {name}", own, *counts, styles) for name, own in zip(names, found, strict=True)]
        of = " and ".join(names)
    else:
        charts = []
        for place, (group, own) in enumerate(zip(groups, counts, strict=True)):
            other = summed(counts[:place] + counts[place + 1 :])
            charts.append(
                chart_of(f"More in {label_of(group)}", more_in(own, other), own, other, (styles[place], "others"))
            )
        of = "the member (first bar) and the other members (second)"
    if not any(charts) and len(groups) > 1:
        return '<p class="note">No word tells them apart.</p>'
    if not any(charts):
        listed = {word: count for word, count in counts[0].items() if word}
        rows = [row_of(word, [counts[0]]) for word, _ in most_frequent(listed, 2 * SHOWN_WORDS)]
        note = "The most frequent ones; there is no other pool to compare with."
        return f'<p class="note">{note}</p>{bars(rows, STYLES)}'
    note = f"By log-odds with a prior (Monroe et al. 2008). Bars are shares of all words of {of}."
    return f'<p class="note">{note}</p><div class="words">{"".join(charts)}</div>'


def summed(several: Iterable[Counts]) -> dict[str, int]:
    """Return the sum of several counts."""
    total: dict[str, int] = {}
    for counts in several:
        for word, count in counts.items():
            total[word] = total.get(word, 0) + count
    return total


def more_in(own: Counts, other: Counts) -> list[str]:
    """Return the words with the highest log-odds in `own` against `other`, the highest first."""
    scored = [(word, score) for word, score in log_odds(own, other) if word]
    return [word for word, score in scored[:SHOWN_WORDS] if score > 0]


def chart_of(title: str, chosen: Sequence[str], own: Counts, other: Counts, styles: Sequence[str]) -> str:
    """Return a chart with the shares of the `chosen` words in both counts, as HTML; empty without words."""
    if not chosen:
        return ""
    return f"<div><h3>{title}</h3>{bars([row_of(word, [own, other]) for word in chosen], styles)}</div>"


def row_of(word: str, several: Sequence[Counts]) -> tuple[str, list[tuple[int, int]]]:
    shares = [(counts.get(word, 0), max(1, sum(counts.values()))) for counts in several]
    return f'<bdi dir="auto">{escape(word)}</bdi>', shares
