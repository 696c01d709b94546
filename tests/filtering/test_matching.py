"""Matching: a literal reading of MetaCLIP's rule on random texts of a nasty alphabet, and the cases that it turns on."""

import random
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.filtering.matching import PUNCTUATION, SHORT, Matcher, WordTable, add_spaces, can_match, tokenise

ALPHABET = [*"ab,.!`;?:-", "ab", " ", " ", "  ", "\t", "\n", "\r", "é", "猫", "\u00a0", "\0"]
LONG = "x" * SHORT


def literally(entries: list[str], text: str) -> list[int]:
    """Places of the entries in a text, by the rule's own words: the entry between blanks is in the spaced text."""
    for mark in [",", ".", ";", ":", "?", "!", "`"]:
        text = text.replace(mark, f" {mark} ")
    text = " " + text.replace("\t", " ").replace("\n", " ").replace("\r", " ") + " "
    return [place for place, entry in enumerate(entries) if " " + entry + " " in text]


def matched(entries: list[str], texts: list[str], kind: pa.DataType | None = None) -> list[list[int]]:
    offsets, numbers = Matcher(entries).match(pa.array(texts, kind or pa.string()))
    assert len(offsets) == len(texts) + 1 and offsets[0] == 0 and offsets[-1] == len(numbers)
    return [numbers[offsets[place] : offsets[place + 1]].tolist() for place in range(len(texts))]


def nasty(chosen: random.Random, longest: int) -> str:
    return "".join(chosen.choices(ALPHABET, k=chosen.randint(0, longest)))


def nasty_texts(longest: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(ALPHABET), max_size=longest).map("".join)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.sets(nasty_texts(6), min_size=1, max_size=60).map(sorted), st.lists(nasty_texts(16), max_size=30))
def test_matching_is_the_rule_read_literally(entries, texts):
    assert matched(entries, texts) == [literally(entries, text) for text in texts]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sets(st.text(max_size=8), min_size=1).map(sorted), st.lists(st.text(max_size=40), max_size=10), st.data())
def test_matching_is_the_rule_read_literally_of_any_characters(entries, texts, data):
    texts += [" ".join(words) for words in data.draw(st.lists(st.lists(st.sampled_from(entries), max_size=5)))]
    assert matched(entries, texts) == [literally(entries, text) for text in texts]


@pytest.mark.parametrize("number", range(30))
def test_long_words_and_shared_beginnings_are_told_apart(number):
    chosen = random.Random(number)
    words = [LONG[:length] + end for length in (0, 7, 8, 9, 15, 16) for end in ("", "y", "\0", "é")]
    entries = sorted({" ".join(chosen.choices(words, k=chosen.randint(1, 3))) for _ in range(80)})
    texts = [" ".join(chosen.choices(words, k=chosen.randint(0, 9))) for _ in range(40)]
    assert matched(entries, texts) == [literally(entries, text) for text in texts]


@pytest.mark.parametrize(
    ("entry", "text", "is_in"),
    [
        ("dog", "a dog", True),
        ("dog", "a dog.", True),
        ("dog", "dog,cat", True),
        ("dog", 'a "dog"', False),
        ("dog", "dog-house", False),
        ("dog", "Dog", False),
        ("dog", "a dog\tand", True),
        ("dog", "dog\u00a0house", False),
        ("a dog", "a  dog", False),
        ("a  dog", "a  dog", True),
        ("red car", "red, car", False),
        ("red car", "red\ncar", True),
        ("red ,  car", "red, car", True),
        ("U.S.", "the U.S. of", False),
        ("St. Louis", "St. Louis", False),
        (",", "a, b", True),
        ("", "a  b", True),
        ("", "a b", False),
        ("", "a,", True),
        ("a\0", "a\0 b", True),
        ("a", "a\0", False),
    ],
)
def test_the_cases_that_the_rule_turns_on(entry, text, is_in):
    assert (literally([entry], text) == [0]) is is_in
    assert matched([entry], [text]) == [[0] if is_in else []]


def test_overlapping_entries_all_match_once_and_ascending():
    entries = ["car", "red", "red car", "red car red"]
    assert matched(entries, ["red car red car"]) == [[0, 1, 2, 3]]


def test_an_entry_never_runs_over_into_the_next_text():
    entries = ["a b", "b a", "a b a"]
    assert matched(entries, ["a", "b", "a b", "a"]) == [[], [], [0], []]


def test_slices_and_large_strings_are_as_any_other_texts():
    texts = ["skipped dog", "a dog", "", "dog, dog", "last"]
    offsets, numbers = Matcher(["dog"]).match(pa.array(texts).slice(1, 3))
    assert np.diff(offsets).tolist() == [1, 0, 1] and numbers.tolist() == [0, 0]
    assert matched(["dog"], texts, pa.large_string()) == [[0], [0], [], [0], []]


def test_no_texts_and_no_entries_give_no_matches():
    assert matched(["dog"], []) == []
    assert matched([], ["a dog", ""]) == [[], []]


@pytest.mark.parametrize("number", range(20))
def test_tokens_are_those_of_the_spaced_text(number):
    chosen = random.Random(number)
    texts = [nasty(chosen, 20) for _ in range(20)]
    tokens = tokenise(pa.array(texts))
    found: list[list[bytes]] = [[] for _ in texts]
    for start, end, text in zip(tokens.starts, tokens.ends, tokens.texts, strict=True):
        found[text].append(tokens.content[start:end].tobytes())
    assert found == [add_spaces(text)[1:-1].encode().split(b" ") for text in texts]
    assert tokens.last.tolist() == (np.cumsum([len(words) for words in found]) - 1).tolist()


def test_many_words_are_found_whatever_their_hashes():
    words = [f"{number:x}".encode() for number in range(50_000)] + [LONG.encode() + str(n).encode() for n in range(50)]
    table = WordTable(words)
    texts = pa.array([word.decode() for word in words] + ["unknown", "g1"])
    assert table.look_up(tokenise(texts)).tolist() == [*range(1, len(words) + 1), 0, 0]


@pytest.mark.parametrize("number", range(40))
def test_an_entry_that_cannot_match_is_in_no_text(number):
    """Texts that hold the entry itself, and its tokens in every spacing: if it could be anywhere, it would be there."""
    chosen = random.Random(number)
    for _ in range(40):
        entry = nasty(chosen, 6)
        texts = [entry, re.sub(f" ?([{PUNCTUATION}]) ?", r"\1", entry), f" {entry} ", entry.replace(" ", "  ")]
        assert any(literally([entry], text) for text in texts) == can_match(entry)
