"""Words that tell pools apart, and the text of strangers."""

from collections import Counter

import numpy as np
import pytest

from example_cards import HOSTILE
from testbed.cards.languages import LANGUAGES
from testbed.cards.text import caption_html, cut, in_bytes, number, percent, printable
from testbed.cards.words import count_words_in, log_odds, most_frequent
from testbed.filtering.selection import known_languages


def test_words_are_letters_with_hyphens_and_apostrophes():
    counts = count_words_in(["A T-shirt, the dog's; don\u2019t 42 x2", "THE \u05db\u05dc\u05d1 \u732b" + "x" * 50])
    assert counts == {"a": 1, "t-shirt": 1, "the": 2, "dog's": 1, "don\u2019t": 1, "x": 1, "\u05db\u05dc\u05d1": 1}
    assert most_frequent({"b": 1, "a": 1, "c": 2}, 2) == [("c", 2), ("a", 1)]


def test_log_odds_are_those_of_monroe_and_others():
    """By hand, with equation 16, 20 and 22 and a prior of ten words."""
    own, other = {"sale": 6, "dog": 4}, {"sale": 2, "dog": 18}
    scores = dict(log_odds(own, other))
    prior = {"sale": 10 * 8 / 30, "dog": 10 * 22 / 30}
    delta = np.log((6 + prior["sale"]) / (10 + 10 - 6 - prior["sale"])) - np.log(
        (2 + prior["sale"]) / (20 + 10 - 2 - prior["sale"])
    )
    variance = 1 / (6 + prior["sale"]) + 1 / (2 + prior["sale"])
    assert scores["sale"] == pytest.approx(delta / np.sqrt(variance))
    assert scores["dog"] < 0 < scores["sale"]


def test_log_odds_find_planted_words_and_not_rare_ones():
    random = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(500)])
    weights = 1 / np.arange(1, 501)
    weights /= weights.sum()
    own, other = (Counter(random.choice(words, 20_000, p=weights).tolist()) for _ in range(2))
    own["planted"] = 100
    other["missing"] = 100
    own["once"] = 2
    scored = log_odds(own, other)
    assert scored[0][0] == "planted" and scored[-1][0] == "missing"
    assert "once" not in dict(scored)
    # Scores of words that differ by chance only are those of a standard normal distribution.
    chance = [score for word, score in scored if word not in ("planted", "missing")]
    assert max(map(abs, chance)) < 4.5
    assert log_odds({}, other) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_captions_of_strangers_have_no_markup(name):
    html = caption_html(HOSTILE[name])
    inner = html.removeprefix('<bdi dir="auto">').partition("</bdi>")[0]
    assert html.startswith('<bdi dir="auto">')
    assert "<" not in inner and ">" not in inner and '"' not in inner and "'" not in inner
    assert not set(inner) & set(map(chr, [*range(32), *range(127, 160)]))


def test_long_captions_are_cut_where_people_see_it():
    html = caption_html(HOSTILE["long"])
    assert len(html) < 300 and "\u2026 10,008 characters" in html
    assert cut("one two three four", 14) == "one two three"
    assert cut("one two " + "x" * 50, 30) == "one two " + "x" * 22


@pytest.mark.parametrize(
    "unit",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f44d\U0001f3fd",
        "e\u0301\u0301",
        "\u2764\ufe0f",
        "\u0915\u093f",
    ],
)
def test_a_cut_does_not_part_what_is_one_character_to_people(unit):
    text = unit * 40
    for length in range(20, 20 + 2 * len(unit)):
        shown = cut(text, length)
        assert len(shown) % len(unit) == 0 and shown and len(shown) <= length


def test_text_is_one_line():
    assert printable(" a\n b\x00\ud800 ") == "a b\ufffd\ufffd"


def test_numbers_are_short():
    assert [percent(share) for share in (0, 0.0004, 0.014, 0.5, 0.996, 1)] == [
        "0 %",
        "< 0.1 %",
        "1.4 %",
        "50 %",
        "99.6 %",
        "100 %",
    ]
    assert [number(value) for value in (None, 5, 12.34, 12345.6)] == ["\u2013", "5", "12.3", "12,346"]
    assert [in_bytes(value) for value in (None, 900, 1536, 3 * 2**20)] == ["\u2013", "900 B", "1.5 KiB", "3 MiB"]


def test_every_language_that_is_recognised_has_a_name():
    assert set(LANGUAGES) == known_languages()
    assert len(set(LANGUAGES.values())) == len(LANGUAGES)
