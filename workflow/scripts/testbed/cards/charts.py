"""The charts of a card: histograms as SVG and bars as HTML, for one group of samples or several beside each other."""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from testbed.cards.measures import MEASURES, Measure, shares_of
from testbed.cards.text import in_bytes, percent

WIDTH, HEIGHT = 300, 184
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 10, 44
MOST_TICKS = 6
TICK_STEPS = (1, 2, 5)
NARROW = 4
"""The fewest bins of a histogram, so that a single value is a bar and no wall."""


class Counted(NamedTuple):
    """The counts of one group; `label` is what its bars are called, `style` their class in the style sheet."""

    label: str
    style: str
    counts: Sequence[int]


def histogram(name: str, groups: Sequence[Counted], others: Sequence[Sequence[int]] = ()) -> str:
    """Return the histogram of a measure as SVG: the share of each group's samples in each bin.

    The first of one or two groups has bars. All others have lines. The bins that no sample is in are left out at both ends;
    a bin that has all values beyond the last edge stands apart and is paler. Axes also have room for the counts of `others`,
    so that the histograms of several pools have the same axes.
    """
    measure = MEASURES[name]
    shares = [shares_of(group.counts) for group in groups]
    everything = [*shares, *map(shares_of, others)]
    filled = np.flatnonzero(np.sum([share[1:-1] for share in everything], axis=0))
    if not len(filled):
        filled = np.array([0])
    first, last = _range(int(filled[0]), int(filled[-1]), len(measure.edges) - 1)
    above = any(share[-1] for share in everything)
    below = any(share[0] for share in everything)
    slots = (last + 1 - first) + 1.6 * above + 1.6 * below
    step = (WIDTH - LEFT - RIGHT) / slots
    start = LEFT + 1.6 * step * below
    top = max(float(share[[0, -1, *range(first + 1, last + 2)]].max()) for share in everything)
    ceiling, ticks = _share_ticks(top)
    bottom = HEIGHT - BOTTOM

    def y(share: float) -> float:
        return bottom - share / ceiling * (bottom - TOP)

    parts = [_y_axis(ticks, y)]
    filled_group = groups[0] if len(groups) <= 2 else None
    for group, share in zip(groups, shares, strict=True):
        inside = share[first + 1 : last + 2]
        bars = [(start + place * step, value) for place, value in enumerate(inside)]
        if group is filled_group:
            parts += [_bar(x, step, value, y, group.style) for x, value in bars]
        else:
            parts.append(_outline(bars, step, y, group.style))
        for shown, x, value in ((below, LEFT, share[0]), (above, WIDTH - RIGHT - step, share[-1])):
            if shown:
                drawn = _bar if group is filled_group else _edge
                parts.append(drawn(x, step, value, y, f"{group.style} beyond"))
    parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
    parts += _x_ticks(measure, name, first, last, start, step, bottom)
    if above:
        parts.append(_label(WIDTH - RIGHT - step / 2, bottom + 18, f"\u2265{_value(name, measure.edges[-1])}", "end"))
    if below:
        parts.append(_label(LEFT + step / 2, bottom + 18, f"<{_value(name, measure.edges[0])}"))
    parts.append(_label(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 4, f"{_unit(name, measure)}", extra="unit"))
    said = "; ".join(f"{group.label}: {sum(group.counts):,} samples" for group in groups)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{measure.title}. {said}")}">'
        f"{''.join(parts)}</svg>"
    )


def _range(first: int, last: int, bins: int) -> tuple[int, int]:
    """Return the first and the last bin that are shown: those with samples, and at least `NARROW`."""
    missing = max(0, NARROW - (last + 1 - first))
    first = max(0, first - missing // 2)
    return first, min(bins - 1, max(last, first + NARROW - 1))


def _share_ticks(top: float) -> tuple[float, list[float]]:
    """Return the upper end of the axis and its ticks, about four of them."""
    top = max(top, 1e-6)
    power = 10.0 ** np.floor(np.log10(top / 3))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power * 4.2 >= top)
    count = int(np.ceil(top / step - 1e-9))
    return max(top, count * step), [place * step for place in range(count + 1)]


def _y_axis(ticks: Sequence[float], y: Callable[[float], float]) -> str:
    lines = "".join(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>' for tick in ticks[1:])
    labels = "".join(_label(LEFT - 5, y(tick) + 4, f"{100 * tick:g} %", "end") for tick in ticks)
    return lines + labels


def _bar(x: float, step: float, value: float, y: Callable[[float], float], style: str) -> str:
    if not value:
        return ""
    gap = min(1.0, 0.1 * step)
    height = y(0) - y(value)
    return (
        f'<rect class="bar {style}" x="{x + gap / 2:.2f}" y="{y(value):.2f}" width="{step - gap:.2f}" '
        f'height="{max(height, 0.6):.2f}"/>'
    )


def _edge(x: float, step: float, value: float, y: Callable[[float], float], style: str) -> str:
    return f'<path class="outline {style}" d="M{x:.2f} {y(0):.1f}V{y(value):.2f}h{step:.2f}V{y(0):.1f}"/>'


def _outline(bars: Sequence[tuple[float, float]], step: float, y: Callable[[float], float], style: str) -> str:
    path = f"M{bars[0][0]:.2f} {y(0):.2f}" + "".join(f"V{y(value):.2f}h{step:.2f}" for _, value in bars)
    return f'<path class="outline {style}" d="{path}V{y(0):.2f}"/>'


def _x_ticks(measure: Measure, name: str, first: int, last: int, start: float, step: float, bottom: float) -> list[str]:
    """Return the ticks below the bins: at round values, and so few that their labels are apart."""
    edges = measure.edges[first : last + 2]
    if measure.is_logarithmic:
        powers = range(int(np.ceil(np.log2(edges[0]) - 1e-9)), int(np.floor(np.log2(edges[-1]) + 1e-9)) + 1)
        every = next(every for every in range(1, 20) if len(powers) / every <= MOST_TICKS)
        values = [2.0**power for power in powers if power % every == 0]
    else:
        span = edges[-1] - edges[0]
        power = 10.0 ** np.floor(np.log10(max(span, 1) / MOST_TICKS))
        gap = next(
            factor * scale * power for scale in (1, 10) for factor in TICK_STEPS if span / (factor * scale * power) <= 6
        )
        gap = max(gap, edges[1] - edges[0])
        values = [value for value in np.arange(0, edges[-1] + gap, gap) if edges[0] <= value <= edges[-1]]
    found = []
    for value in values:
        place = np.interp(value, edges, np.arange(len(edges)))
        if measure.is_logarithmic:
            place = np.interp(np.log2(value), np.log2(edges), np.arange(len(edges)))
        # A bin of one whole number is labelled at its middle, others at their lower edge.
        middle = 0.5 if name == "words" and value < edges[-1] else 0.0
        if name == "words" and value >= edges[-1]:
            continue
        x = start + (place + middle) * step
        found.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
        found.append(_label(x, bottom + 18, _value(name, value)))
    return found


def _value(name: str, value: float) -> str:
    if name == "bytes":
        kilobytes = value / 1024
        return f"{kilobytes / 1024:g}M" if kilobytes >= 1024 else f"{kilobytes:g}k" if kilobytes >= 1 else f"{value:g}"
    if name == "aspect_ratio" and value < 1:
        return f"1/{1 / value:.3g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def _unit(name: str, measure: Measure) -> str:
    return (
        "bytes (k = 1,024), logarithmic"
        if name == "bytes"
        else measure.unit + (", logarithmic" if measure.is_logarithmic else "")
    )


def _label(x: float, y: float, text: str, anchor: str = "middle", extra: str = "") -> str:
    kind = f' class="{extra}"' if extra else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def summary(name: str, measures: dict) -> str:
    """Return the median of a measure, and the range of nine in ten samples, as text."""
    if "median" not in measures:
        return "not known"
    write = in_bytes if name == "bytes" else _quantity
    return f"median {write(measures['median'])}, 90 % from {write(measures['low'])} to {write(measures['high'])}"


def _quantity(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


def bars(rows: Sequence[tuple[str, Sequence[tuple[int, int]]]], styles: Sequence[str]) -> str:
    """Return a table with bars. A row has a label (HTML) and, for each group, a count and the number that is the whole.

    `styles` has the class of each group. A bar's full length is the largest share in the table.
    """
    largest = max((count / whole for _, groups in rows for count, whole in groups if whole), default=0) or 1
    lines = []
    for label, groups in rows:
        drawn = "".join(
            f'<span class="track"><span class="fill {style}" style="width:{100 * count / max(1, whole) / largest:.2f}%">'
            f'</span></span><span class="figure">{percent(count / max(1, whole))} <small>{count:,}</small></span>'
            for (count, whole), style in zip(groups, styles, strict=False)
        )
        lines.append(f'<li><span class="name">{label}</span><span class="pair">{drawn}</span></li>')
    return f'<ul class="bars">{"".join(lines)}</ul>'
