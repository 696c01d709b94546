"""The simple setting: known answers of the closed forms, and a Monte Carlo that notices wrong ones."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr
from scipy.stats import norm

import simulate_theory
from plot_theory import plot_theory
from simulate_theory import (
    accuracies,
    cleaning,
    comparison_row,
    filtering,
    log_summary,
    mixing,
    simulate,
    tabulate,
    trends,
)
from testbed.figures.style import save_figure
from testbed.theory.closed_forms import (
    SETTING,
    SOURCES,
    bound_coverage,
    clean_share,
    clean_share_limit,
    effective_robustness,
    ensemble,
    filtered_mean,
    filtered_slope,
    kept_fraction,
    mean_probits,
    mixture,
    mixture_slope,
    probits,
    slope,
    standard_slope,
)

A, B = SOURCES.values()


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return simulate(0)


def of_shares(share: float) -> tuple[list[float], list[np.ndarray]]:
    return [share, 1 - share], [A, B]


def test_slopes_of_the_sources():
    assert slope(A) == pytest.approx(0.888889, abs=5e-7)
    assert slope(B) == pytest.approx(0.131579, abs=5e-7)
    assert standard_slope() == pytest.approx(0.416667, abs=5e-7)


@pytest.mark.parametrize(
    ("model", "expected", "robustness"),
    [
        (A, (0.8457, 0.8173), 0.1530),
        (B, (0.8876, 0.5634), -0.1300),
        (mixture(*of_shares(0.25)), (0.9100, 0.6510), -0.0608),
        (mixture(*of_shares(0.5)), (0.9146, 0.7382), 0.0223),
        (mixture(*of_shares(0.75)), (0.8927, 0.7950), 0.0976),
    ],
)
def test_accuracies_with_unlimited_samples(model, expected, robustness):
    assert ndtr(probits(model)) == pytest.approx(expected, abs=5e-5)
    assert effective_robustness(probits(model)) == pytest.approx(robustness, abs=5.1e-5)


@pytest.mark.parametrize(("share", "expected"), [(0.25, 0.289352), (0.5, 0.465686), (0.75, 0.664063)])
def test_a_mixture_has_a_convex_combination_of_slopes(share, expected):
    assert mixture_slope(*of_shares(share)) == pytest.approx(expected, abs=6e-7)
    assert slope(mixture(*of_shares(share))) == pytest.approx(mixture_slope(*of_shares(share)))


def test_mixing_raises_the_reference_accuracy_and_dilutes_the_slope():
    shares = np.linspace(0.01, 0.99, 99)
    slopes = [mixture_slope(*of_shares(share)) for share in shares]
    assert slope(B) < min(slopes) and max(slopes) < slope(A)
    assert probits(mixture(*of_shares(0.5)))[0] > max(probits(A)[0], probits(B)[0])


def test_an_ensemble_of_experts_of_length_one():
    assert slope(ensemble([0.5, 0.5], [A, B])) == pytest.approx(0.477053, abs=5e-7)
    lengths = [np.linalg.norm(mean) for mean in (A, B)]
    assert slope(ensemble([0.3, 0.7], [A, B])) == pytest.approx(mixture_slope(np.array([0.3, 0.7]) / lengths, [A, B]))


@pytest.mark.parametrize(
    ("threshold", "kept", "expected"),
    [(0, 0.6031, 0.4395), (1, 0.4057, 0.5148), (2, 0.2301, 0.5753), (4, 0.0410, 0.6593)],
)
def test_filtering_b_by_a(threshold, kept, expected):
    assert kept_fraction(B, A, threshold) == pytest.approx(kept, abs=5.1e-5)
    assert filtered_slope(B, A, threshold) == pytest.approx(expected, abs=5.1e-5)
    assert slope(filtered_mean(B, A, threshold)) == pytest.approx(float(filtered_slope(B, A, threshold)))


@pytest.mark.parametrize(("source", "teacher"), [(A, B), (B, A)])
def test_stricter_filters_move_a_slope_towards_the_teachers(source, teacher):
    slopes = filtered_slope(source, teacher, np.linspace(-10, 300, 100))
    steps = np.diff(slopes) * np.sign(slope(teacher) - slope(source))
    assert (steps > 0).all()
    assert slopes[0] == pytest.approx(slope(source), abs=1e-3)
    assert slopes[-1] == pytest.approx(slope(teacher), abs=0.01)


@pytest.mark.parametrize(("threshold", "expected"), [(0, 0.3974), (2, 0.4370), (4, 0.4542)])
def test_clean_share(threshold, expected):
    assert clean_share(0.3, A, A, threshold) == pytest.approx(expected, abs=5.1e-5)
    assert clean_share(0.3, A, A, 20) == pytest.approx(clean_share_limit(0.3), abs=1e-4)


def test_expected_accuracies_grow_with_size_up_to_those_of_the_mean():
    sizes = [50, 200, 800, 3200, 12800, 10**7]
    scaled = np.array([mean_probits(A, size) for size in sizes])
    assert (np.diff(scaled, axis=0) > 0).all()
    assert scaled[-1] == pytest.approx(probits(A), rel=1e-4)
    noise = SETTING.source_noise**2 * SETTING.dimension / np.array(sizes)
    rough = probits(A)[0] * np.linalg.norm(A) / np.sqrt(A @ A + noise)
    assert scaled[:, 0] == pytest.approx(rough, rel=1e-3)
    assert scaled[:, 1] / scaled[:, 0] == pytest.approx(slope(A))


def test_the_bound_covers_more_than_it_promises():
    assert bound_coverage(0.05) == pytest.approx(1 - 2 * norm.sf(2.71620), abs=1e-6)
    assert all(bound_coverage(delta) >= 1 - delta for delta in (0.5, 0.1, 0.01))


def test_monte_carlo_agrees_with_the_closed_forms(tables):
    table, _ = tables
    assert table["within"].all(), table[~table["within"]]
    assert set(table["statement"]) == {
        *["trend", "accuracy", "input mixing", "output mixing", "filtering", "clean share"],
    }
    assert (table["standard_error"] > 0).all()
    # as many small differences as standard errors should have: they are neither too small nor too large
    assert 0.8 < table["standard_errors"].std() < 1.2
    lines = table[(table["statement"] == "trend") & table["quantity"].isin(["slope", "intercept"])]
    assert lines["monte_carlo"].tolist() == pytest.approx([0.889, 0, 0.132, 0, 0.466, 0], abs=0.02)


def naive_mixture_slope(shares, means):
    return np.dot(shares, [slope(mean) for mean in means])


def all_wrong_labels(share, mean, teacher, threshold):
    """Clean share if random labels were always wrong."""
    right, wrong = (kept_fraction(sign * mean, teacher, threshold) for sign in (1, -1))
    return share * right / (share * right + (1 - share) * wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closed_form", "wrong", "simulated"),
    [
        ("mixture_slope", naive_mixture_slope, mixing),
        ("mixture_slope", naive_mixture_slope, accuracies),
        ("ensemble", mixture, accuracies),
        ("probits", lambda model: 1.02 * probits(model), accuracies),
        ("mean_probits", lambda mean, size: probits(mean), lambda rng: trends(rng)[0]),
        ("bound_coverage", lambda delta: 1 - delta, lambda rng: trends(rng)[0]),
        ("kept_fraction", lambda *where: kept_fraction(*where) + 0.005, filtering),
        ("filtered_slope", lambda mean, teacher, threshold: (slope(mean) + slope(teacher)) / 2, filtering),
        ("clean_share", all_wrong_labels, cleaning),
    ],
)
def test_a_wrong_closed_form_is_noticed(monkeypatch, closed_form, wrong, simulated, caplog):
    monkeypatch.setattr(simulate_theory, closed_form, wrong)
    table = tabulate(list(simulated(np.random.default_rng(0))))
    assert not table["within"].all()
    log_summary(table)
    assert any("standard errors apart" in record.getMessage() for record in caplog.records)


def test_the_bound_holds_for_all_rows_together():
    rows = [comparison_row("trend", "A", 1, "slope", 0, distance, 1) for distance in (0, 4.05, -4.1, 10)]
    assert tabulate(rows)["within"].tolist() == [True, False, False, False]
    rows += [comparison_row("trend", "A", 1, "slope", 0, 0, 1)] * 196
    assert tabulate(rows)["within"].tolist()[:4] == [True, True, True, False]


@pytest.mark.slow
def test_equal_seeds_give_equal_tables(tables):
    again = simulate(0)
    assert [table.to_csv() for table in again] == [table.to_csv() for table in tables]
    assert simulate(1)[0].to_csv() != tables[0].to_csv()


@pytest.mark.slow
def test_figure_is_complete_and_equal_on_each_run(tables, tmp_path):
    written = []
    for run in ("first", "second"):
        figure = plot_theory(*tables)
        save_figure(figure, tmp_path / f"{run}.pdf", tmp_path / f"{run}.png")
        written.append(((tmp_path / f"{run}.pdf").read_bytes(), (tmp_path / f"{run}.png").read_bytes()))
    assert written[0] == written[1]
    assert "reconstruction" in figure.texts[0].get_text()
    assert [axes.get_title(loc="left")[0] for axes in figure.axes] == list("abcdef")
    assert figure.get_figwidth() == pytest.approx(6.9)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"source A", "source B", "input mixing", "output mixing", "standard models"} <= set(labels)
