"""What the figures of filters show is what the tables hold."""

import numpy as np
import pandas as pd
import pytest

from plot_entries import draw_entries, summary
from plot_scores import draw_scores, merge_bins
from testbed.filtering.selection import BINS, EDGES, histogram_of

TABLE = pd.DataFrame(
    {
        "entry": ["the", "dog", "NA", "cat"],
        "count": [100, 40, 5, 1],
        "kept": [30, 20, 5, 1],
        "part": ["head", "head", "tail", "tail"],
    }
)
FACTS = {"samples": 45, "of": 150, "expected": 44.2, "t": 20, "matched": 120, "entries": 9}


def test_entries_are_drawn_before_and_after():
    ranks, points = draw_entries(TABLE, FACTS).axes
    before, after = ranks.lines[:2]
    assert before.get_ydata().tolist() == [100, 40, 5, 1] and after.get_ydata().tolist() == [30, 20, 5, 1]
    assert points.lines[0].get_xdata().tolist() == [100, 40, 5, 1]
    assert {axes.get_xscale() for axes in (ranks, points)} == {axes.get_yscale() for axes in (ranks, points)} == {"log"}
    assert [line.get_xdata()[0] for line in points.lines if line.get_label() == "t"] == [20]


def test_the_sentence_has_the_shares_of_the_head():
    text = summary(FACTS, TABLE)
    assert "45 of 150 samples stay (30.0%; 44 expected), t = 20" in text
    assert f"{140 / 146:.1%} of all matches before and {50 / 56:.1%} after" in text
    assert "4 of 9 entries are in captions. 2 of them" in text


def test_scores_are_all_in_the_histogram():
    scores = np.array([-1, -0.9999, 0.3, 0.3001, 1, 1 + 1e-7])
    counts = histogram_of(scores)
    assert counts.sum() == len(scores) and counts[0] == 2 and counts[-1] == 2


@pytest.mark.parametrize("bins", [1, 7, 60, 400])
@pytest.mark.parametrize("spread", [0.001, 0.05, 0.4])
def test_joined_bins_hold_every_score(bins, spread):
    counts = histogram_of(np.random.default_rng(0).normal(0.9, spread, 1000))
    edges, starts = merge_bins(counts, bins)
    joined = np.add.reduceat(counts[: round((edges[-1] + 1) * BINS / 2)], starts)
    assert joined.sum() == 1000
    assert len(edges) == len(starts) + 1 <= bins + 2
    assert set(edges) <= set(EDGES)


def test_bars_are_as_high_as_the_counts():
    rng = np.random.default_rng(0)
    scores = rng.normal(0.2, 0.1, 500)
    manifests = [
        {"samples": len(values), "histogram": histogram_of(values).tolist()}
        for values in (scores, scores[scores > 0.2])
    ]
    figure = draw_scores(manifests[0], manifests[1] | {"pool": "mine", "threshold": 0.2})
    bars = [patch.get_data().values for patch in figure.axes[0].patches]
    assert [int(sum(values)) for values in bars] == [500, int((scores > 0.2).sum())]
    assert (bars[1] <= bars[0]).all()
    assert any("threshold 0.200" in text.get_text() for text in figure.axes[0].get_legend().get_texts())
