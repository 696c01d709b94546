"""Names at the ends of lines: they cover no marker and no other name, and stay in the panel."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from example_evaluations import example
from example_figures import main_figure
from testbed.figures.labels import DISTANCE, HEIGHT, HINT, MARKER, LineEnd, label_lines


def panel(width: float = 3.0):
    """A panel of 3 x 2 inches with axes from 0 to 3 and from 0 to 2: a unit is an inch."""
    figure = Figure(figsize=(width + 1, 3))
    axes = figure.add_axes((0.5 / (width + 1), 0.5 / 3, width / (width + 1), 2 / 3))
    axes.set_xlim(0, width)
    axes.set_ylim(0, 2)
    return axes


def test_a_name_stands_right_of_its_line():
    axes = panel()
    assert label_lines(axes, [LineEnd("first", "red", (1.5, 1.0), (0.5, 0.5))], np.zeros((0, 2))) == ["first"]
    (text,) = axes.texts
    assert text.get_position() == pytest.approx(((1.5 + DISTANCE) / 3, 0.5))
    assert (text.get_ha(), text.get_color()) == ("left", "red")


def test_without_room_at_the_right_a_name_stands_left_or_along_or_nowhere():
    axes = panel()
    wide = LineEnd("a very long name", "red", (2.9, 1.0), (1.6, 0.5))
    assert label_lines(axes, [wide], np.zeros((0, 2))) == ["a very long name"]
    assert axes.texts[0].get_ha() == "right" and axes.texts[0].get_position()[1] * 2 == 0.5
    axes = panel()
    assert label_lines(axes, [LineEnd("a very long name", "red", (2.9, 1.0), (0.1, 0.5))], np.zeros((0, 2)))
    # Above the line, at nine tenths of it.
    assert axes.texts[0].get_position() == pytest.approx(((2.62 - MARKER) / 3, (0.95 + HEIGHT) / 2))
    axes = panel(0.7)
    assert label_lines(axes, [LineEnd("a very long name", "red", (0.6, 1.0), (0.1, 0.5))], np.zeros((0, 2))) == []
    assert not axes.texts


def test_a_name_covers_no_line():
    axes = panel()
    flat = [LineEnd("long", "blue", (2.9, 1.0), (0.1, 1.0)), LineEnd("short", "red", (1.5, 0.95), (0.5, 0.45))]
    assert set(label_lines(axes, flat, np.zeros((0, 2)))) == {"long", "short"}
    (height,) = [text.get_position()[1] * 2 for text in axes.texts if text.get_text() == "short"]
    assert abs(height - 1.0) > 0.05


def test_names_make_way_for_each_other_and_for_markers():
    axes = panel()
    close = [LineEnd(f"line{number}", "red", (1.5, 1.0 + 0.02 * number), (0.5, 0.2)) for number in range(4)]
    named = label_lines(axes, close, np.array([[1.75, 1.1]]))
    heights = sorted(text.get_position()[1] * 2 for text in axes.texts if text.get_ha() == "left")
    assert len(named) >= 2 and np.diff(heights).min() > 0.1
    # The marker keeps its place.
    assert all(abs(height - 1.1) > 0.1 for height in heights)


def test_the_main_figure_names_its_lines_and_a_crowded_one_does_not():
    names = {text.get_text() for axes in main_figure(example(n=2000)).axes for text in axes.texts}
    assert names - {HINT} and names <= {"photos", "drawings", "both", "baseline", HINT}
