"""The background of a panel: the baseline of standard models, public models, and published checkpoints."""

from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from testbed.figures.axes import axis_position
from testbed.figures.style import BASELINE
from testbed.statistics.baselines import STANDARD_BASELINES, find_baseline
from testbed.statistics.lines import line_band
from testbed.statistics.scales import transform
from testbed.statistics.settings import Settings

# no pool has crosses
CROSS = {"marker": "x", "markersize": 4.5, "markeredgecolor": "#333333", "markeredgewidth": 1.2}
DOT = {"marker": ".", "markersize": 3.2, "markerfacecolor": "#9a9a9a", "markeredgecolor": "none"}
DASHES = (0, (2.2, 1.2))
COMBINED = {"color": "#555555", "linestyle": "-"}
TITLES = {"standard": "standard models", "standard_extended": "standard models, extended"}


@dataclass(frozen=True)
class Background:
    """Tables of what is drawn behind the pools; each may be None.

    `published` has pairs (see `pair_with_reference`) of published checkpoints; `models` has public models with `testset`,
    `classes`, `reference_value` and `value`; `baselines` is the table of `read_baselines`; `combined` has the lines that a
    mixture's members predict, with `testset`, `classes`, `slope`, `intercept`, `reference_min` and `reference_max`.
    """

    published: pd.DataFrame | None = None
    models: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None
    combined: pd.DataFrame | None = None

    def entries(self, settings: Settings) -> list[Artist]:
        """The legend entries of what is drawn."""
        entries = []
        if self._has_baseline(settings):
            label = f"{TITLES[settings.baseline]} (baseline)"
            entries.append(Line2D([], [], color=BASELINE, linestyle=DASHES, linewidth=1.3, label=label))
        if self.combined is not None:
            entries.append(Line2D([], [], linewidth=0.8, label="members' lines, combined by share", **COMBINED))
        if self.models is not None:
            entries.append(Line2D([], [], linestyle="", label="public CLIP model", **DOT))
        if self.published is not None:
            entries.append(Line2D([], [], linestyle="", label="published checkpoint", **CROSS))
        return entries

    def with_published(self, points: pd.DataFrame, testset: str, classes: str) -> pd.DataFrame:
        """`points` of a panel and the published checkpoints, which the limits of its axes must include."""
        published = self._published_on(testset, classes)
        return points if published is None else pd.concat([points, published])

    def draw(self, axes: Axes, testset: str, classes: str, settings: Settings) -> None:
        """Draw the background for a test set and classes into `axes`, whose limits are set."""
        if self.models is not None:
            self._draw_models(axes, testset, classes, settings)
        if self._has_baseline(settings):
            self._draw_baseline(axes, testset, classes, settings)
        if self.combined is not None:
            self._draw_combined(axes, testset, classes, settings)
        if (published := self._published_on(testset, classes)) is not None:
            self._draw_published(axes, published, settings)

    def _published_on(self, testset: str, classes: str) -> pd.DataFrame | None:
        if self.published is None:
            return None
        return self.published[(self.published["testset"] == testset) & (self.published["classes"] == classes)]

    def _has_baseline(self, settings: Settings) -> bool:
        return self.baselines is not None and settings.baseline in STANDARD_BASELINES

    def _draw_models(self, axes: Axes, testset: str, classes: str, settings: Settings) -> None:
        """Draw public models within the limits, which they do not change."""
        points = self.models[(self.models["testset"] == testset) & (self.models["classes"] == classes)]
        x, y = (transform(points[name], settings.scale) for name in ("reference_value", "value"))
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        inside = (x >= left) & (x <= right) & (y >= low) & (y <= high)
        axes.plot(x[inside], y[inside], linestyle="", zorder=1.2, **DOT)

    def _draw_baseline(self, axes: Axes, testset: str, classes: str, settings: Settings) -> None:
        baseline = find_baseline(
            *(self.baselines, settings.baseline, testset, classes, settings.scale),
            *(settings.bootstrap, settings.bootstrap_seed),
        )
        if np.isnan(baseline.line.slope):
            return
        left, right = axes.get_xlim()
        ends = np.clip(transform([baseline.reference_min, baseline.reference_max], settings.scale), left, right)
        style = {"color": BASELINE, "linestyle": DASHES, "zorder": 2.2}
        axes.plot(ends, baseline.line.at(ends), linewidth=1.3, **style)
        # thin where it is extrapolated: there is no standard model, but effective robustness is measured against it
        for beyond in ([left, ends[0]], [ends[1], right]):
            axes.plot(beyond, baseline.line.at(beyond), linewidth=0.7, **style)
        x = np.linspace(left, right, 200)
        low, high = line_band(baseline.lines, x, settings.line_confidence)
        axes.fill_between(x, low, high, color=BASELINE, alpha=0.12, linewidth=0, zorder=1.4)

    def _draw_combined(self, axes: Axes, testset: str, classes: str, settings: Settings) -> None:
        lines = self.combined[(self.combined["testset"] == testset) & (self.combined["classes"] == classes)]
        for line in lines.itertuples():
            x = transform([line.reference_min, line.reference_max], settings.scale)
            axes.plot(x, line.slope * x + line.intercept, linewidth=0.8, zorder=2.6, **COMBINED)

    def _draw_published(self, axes: Axes, points: pd.DataFrame, settings: Settings) -> None:
        """Draw published checkpoints, with each name on the side where the panel has more room."""
        xs = axis_position(points["reference_value"], axes.get_xlim(), settings.scale)
        ys = axis_position(points["value"], axes.get_ylim(), settings.scale)
        middle = sum(axes.get_xlim()) / 2
        for name, x, y in zip(points["model"], xs, ys, strict=True):
            axes.plot([x], [y], linestyle="", zorder=4, clip_on=False, **CROSS)
            side, shift = ("right", -4) if x > middle else ("left", 4)
            text = {"ha": side, "va": "center", "fontsize": matplotlib.rcParams["font.size"] - 1.5, "color": "#333333"}
            axes.annotate(name, (x, y), (shift, 0), textcoords="offset points", **text)


EMPTY_BACKGROUND = Background()
