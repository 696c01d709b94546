"""Linear contrastive models: what they learn, their leading terms, and rates that are only seen where they are."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import subspace_angles

from plot_contrastive import plot_contrastive
from simulate_contrastive import KEY, MARGIN, STATEMENTS, fit_rates, log_summary, simulate, tabulate
from testbed.figures.style import save_figure
from testbed.theory.contrastive import Encoders, Pairs, leading_error, learn, learn_filtered, with_best_threshold

PRECISIONS = (1e4, 1.0)


def draw(pairs: Pairs, clean: float, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of the model as it is written down, with the first unit vectors as U and U~."""
    rng = np.random.default_rng(seed)
    signal, other = rng.standard_normal((2, size, pairs.signal))
    matched = rng.random((size, 1)) < clean
    sides = []
    for width, latent in ((pairs.image, signal), (pairs.text, np.where(matched, signal, other))):
        side = rng.standard_normal((size, width)) / np.sqrt(pairs.precision)
        side[:, : pairs.signal] += latent
        sides.append(side)
    return tuple(sides)


def test_error_is_the_chordal_distance():
    rng = np.random.default_rng(0)
    image, text = (np.linalg.qr(rng.standard_normal((size, 4)))[0] for size in (10, 8))
    angles = [subspace_angles(side, np.eye(len(side))[:, :4]) for side in (image, text)]
    expected = np.sqrt(np.sum(np.sin(angles) ** 2))
    assert Encoders(image, text, np.ones(4)).error() == pytest.approx(expected)


def test_learning_does_not_depend_on_the_directions_of_the_signal():
    images, texts = draw(Pairs(1.0), 0.5, 5000, 1)
    rng = np.random.default_rng(2)
    turns = [np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (10, 8)]
    plain, turned = learn(images, texts, 4), learn(images @ turns[0].T, texts @ turns[1].T, 4)
    assert turned.values == pytest.approx(plain.values)
    assert np.abs(subspace_angles(turns[0].T @ turned.image, plain.image)).max() < 1e-7


def test_singular_values_are_the_clean_fraction():
    values = learn(*draw(Pairs(1.0), 0.3, 400_000, 3), 4).values
    assert values == pytest.approx([0.3] * 4, abs=0.01)


def test_mean_of_a_side_does_not_matter():
    images, texts = draw(Pairs(1.0), 0.5, 5000, 1)
    moved = learn(images + 7, texts - 3, 4)
    assert moved.image == pytest.approx(learn(images, texts, 4).image)


def test_a_student_learns_from_what_its_teacher_keeps():
    images, texts = draw(Pairs(1e4), 0.1, 20_000, 4)
    teacher = learn(images[:10_000], texts[:10_000], 4)
    kept = teacher.scores(images[10_000:], texts[10_000:]) > 2
    by_hand = learn(images[10_000:][kept], texts[10_000:][kept], 4)
    assert learn_filtered(images, texts, 4, 2).error() == by_hand.error()
    # scores are in units of <z, z~>, whose mean over clean pairs is r
    assert teacher.scores(images[:10_000], texts[:10_000]).mean() == pytest.approx(0.1 * 4, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("clean", "threshold"), [(1, None), (0.25, None), (1, 0), (0.25, 0), (0.25, 3)])
def test_leading_term_is_neared(precision, clean, threshold):
    pairs, size, repeats = Pairs(precision), 40_000, 30
    squares = []
    for repeat in range(repeats):
        sample = draw(pairs, clean, size, repeat)
        learnt = learn(*sample, 4) if threshold is None else learn_filtered(*sample, 4, threshold)
        squares.append(learnt.error() ** 2)
    ratio = np.array(squares) / leading_error(pairs, clean, size, threshold) ** 2
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(repeats) + 0.02)
    assert ratio.std() / np.sqrt(repeats) < 0.08


def test_unfiltered_leading_term():
    # (d - r + d~ - r) r (1 + 1/gamma) / (gamma n eta^2) = 10 * 4 * 2 / (1000 / 16)
    assert leading_error(Pairs(1.0), 0.25, 1000) ** 2 == pytest.approx(1.28)


@pytest.mark.parametrize("precision", [0.5, 1.0, 3.0])
def test_students_inherit_a_share_of_their_teachers_error(precision):
    pairs = Pairs(precision)
    share = leading_error(pairs, 1e-4, 1000, 0) / leading_error(pairs, 1e-4, 500)
    assert share == pytest.approx(1 / (1 + precision), rel=1e-3)


def test_keeping_everything_is_learning_from_half():
    assert leading_error(Pairs(1.0), 0.3, 1000, -80) == pytest.approx(leading_error(Pairs(1.0), 0.3, 500), rel=1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_best_threshold_is_at_least_as_good(precision):
    for clean in (1, 0.1, 0.01):
        assert with_best_threshold(Pairs(precision), clean, 1000) <= leading_error(Pairs(precision), clean, 1000, 0)


def made_up(exponents: dict[str, float], repeats: int = 6) -> pd.DataFrame:
    """Errors of 1/sqrt(samples) times the clean fraction to an exponent by method, with noise of a percent."""
    rng = np.random.default_rng(5)
    rows = [
        (1e4, clean, samples, method, repeat, clean**exponent / np.sqrt(samples) * np.exp(rng.normal(0, 0.01)))
        for clean in (1, 0.5, 0.25, 0.125, 0.0625, 0.03125)
        for samples in (2**14, 2**20)
        for method, exponent in exponents.items()
        for repeat in range(repeats)
    ]
    return pd.DataFrame(rows, columns=[*KEY, "repeat", "error"])


def stated(errors: pd.DataFrame) -> list[bool]:
    rates = fit_rates(errors, tabulate(errors))
    log_summary(rates)
    return rates.loc[rates["stated"].notna(), "seen"].tolist()


def test_only_true_rates_are_seen():
    assert stated(made_up({"unfiltered": -1, "filtered": -0.5})) == [True, True, True, True, False]
    assert stated(made_up({"unfiltered": -1, "filtered": 0})) == [True, True, True, False, True]
    assert stated(made_up({"unfiltered": -0.9, "filtered": -1})) == [True, True, False, False, False]


def test_too_few_samples_are_left_out():
    errors = made_up({"unfiltered": -1, "filtered": 0})
    table = tabulate(errors)
    few = table["samples"] < MARGIN * 10 * 1.0001**2 / table["clean_fraction"] ** 2
    assert few.any() and (table["enough_samples"] == ~few).all()
    errors.loc[errors["samples"] * errors["clean_fraction"] ** 2 < 10 * MARGIN, "error"] *= 100
    assert stated(errors) == [True, True, True, False, True]


def test_simulated_rates():
    errors = simulate(0, precisions=(1e4,), cleans=(1, 0.5, 0.25), sizes=(2**12, 2**15), repeats=8)
    table = tabulate(errors)
    assert table["ratio"].between(0.6, 1.6).all()
    rates = fit_rates(errors, table)
    in_samples = rates[rates["variable"] == "samples"]
    assert in_samples["seen"].all() and len(in_samples) == 2
    assert rates["leading_term"].between(rates["exponent_low"], rates["exponent_high"]).all()
    assert (rates["exponent_high"] - rates["exponent_low"]).max() < 0.6
    assert len(rates[rates["stated"].notna()]) == len(STATEMENTS) - 1, "no clean fraction is small here"


def test_equal_seeds_give_equal_tables():
    small = {"cleans": (1, 0.5), "sizes": (512, 1024), "repeats": 2}
    assert simulate(3, **small).to_csv() == simulate(3, **small).to_csv()
    assert simulate(4, **small).to_csv() != simulate(3, **small).to_csv()


@pytest.mark.slow
def test_figure_is_complete_and_equal_on_each_run(tmp_path):
    errors = pd.concat([made_up({"unfiltered": -1, "filtered": -0.5}).assign(precision=one) for one in PRECISIONS])
    table = tabulate(errors)
    written = []
    for run in ("first", "second"):
        figure = plot_contrastive(table, fit_rates(errors, table))
        save_figure(figure, tmp_path / f"{run}.pdf", tmp_path / f"{run}.png")
        written.append(((tmp_path / f"{run}.pdf").read_bytes(), (tmp_path / f"{run}.png").read_bytes()))
    assert written[0] == written[1]
    assert [axes.get_title(loc="left")[0] for axes in figure.axes] == list("abcdef")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"unfiltered", "filtered", "simulated", "leading term"} <= set(labels)
