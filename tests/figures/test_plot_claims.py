"""The forest plot of claims: each claim has its verdict and its comparisons, and nothing overlaps."""

import numpy as np
import pandas as pd
import pytest

from check_claims import check_claims, claims_table, comparisons_table
from example_claims import ENSEMBLE, FILTER, MIX, A, B, run
from example_evaluations import REFERENCE
from example_figures import boxes_of
from measure_dilution import measure_dilution
from plot_claims import SHOWN, plot_claims
from testbed.figures.style import FigureError
from testbed.statistics.settings import Settings

POOLS = [A | {"title": "Alpha"}, B, MIX, ENSEMBLE, FILTER]
HEIGHTS = {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.4, 0.4), "kept": (0.01, 0)}


@pytest.fixture(scope="module")
def tables() -> list[pd.DataFrame]:
    evaluations, settings = run(HEIGHTS, noise=0.03), Settings()
    claims = check_claims(evaluations, POOLS, REFERENCE, [{"best": ["a"], "shift": "one"}], settings)
    dilution = measure_dilution(evaluations, POOLS, REFERENCE, settings)
    return [claims_table(claims, settings), comparisons_table(claims, settings), dilution]


def test_every_claim_has_its_verdict_and_intervals(tables):
    claims, comparisons, _ = tables
    figure = plot_claims(*tables, POOLS, Settings())
    texts = [text.get_text().replace("\n", " ") for text in figure.texts]
    for statement in claims["statement"]:
        assert statement in " ".join(texts)
    # The words below a claim begin with its verdict; "nothing to compare" stands without an axis.
    below = [text.split(":")[0].split(" (")[0] for text in texts]
    drawn = [text for text in below if text in set(claims["verdict"])]
    assert drawn == claims["verdict"].tolist()
    assert len(figure.axes) == (claims["comparisons"] > 0).sum()
    assert any(text.startswith("Alpha \u2212 b") for text in texts)
    (row,) = [one for one in comparisons.itertuples() if one.claim == "best_on_one"]
    axes = figure.axes[claims["claim"].tolist().index("best_on_one")]
    drawn = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(ends == pytest.approx([row.difference_low, row.difference_high]) for ends in drawn)
    assert all(len(axes.lines) <= 2 * SHOWN + 2 for axes in figure.axes)


def test_nothing_overlaps_and_nothing_leaves_the_page(tables):
    figure = plot_claims(*tables, POOLS, Settings())
    boxes = boxes_of(figure)
    for place, box in enumerate(boxes):
        for other in boxes[place + 1 :]:
            overlap = np.array(
                [min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)]
            )
            # Lines of text may touch by a pixel.
            assert overlap.min() < 2, (box, other)


def test_without_claims_there_is_no_figure(tables):
    with pytest.raises(FigureError, match="there is no claim to draw"):
        plot_claims(tables[0][:0], *tables[1:], POOLS, Settings())
