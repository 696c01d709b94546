"""Which entries of a list occur in a text, by MetaCLIP's rule, for millions of texts and hundreds of thousands of entries.

A text gets a blank at each end and around each of seven marks, and tabs and line ends become blanks; an entry occurs in
it where the entry between two blanks does ("Demystifying CLIP Data", arXiv 2309.16671, `spacing` of its code). Case
counts, and other marks belong to their word.

Cut at single blanks, text and entry become tokens, empty ones among them, and an entry occurs where its tokens follow one
another in those of the text. All texts of a batch are looked up together, in steps that each do one thing for all of its
tokens: cut them, look up their words, and go on from each sequence that an entry begins with. A word of up to 16 bytes is
two whole numbers, so that most of them are looked up without a Python object for any.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

MARKS = ",.;:?!`"
BLANKS = " \t\n\r"

_INNER, _BLANK, _MARK = range(3)
_KIND = np.zeros(256, np.uint8)
_KIND[np.frombuffer(BLANKS.encode(), np.uint8)] = _BLANK
_KIND[np.frombuffer(MARKS.encode(), np.uint8)] = _MARK

SHORT = 16
"""Bytes of a word that is compared as two numbers."""

_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(29)

SIEVE_BITS = 23
"""Most pairs of words begin no entry, which a table with a byte for each of so many hashes says of nearly all of them."""


def space_out(text: str) -> str:
    """`text` as MetaCLIP compares it: blanks around it and around each mark, and no other white space of ASCII's."""
    for mark in MARKS:
        text = text.replace(mark, f" {mark} ")
    for blank in BLANKS:
        text = text.replace(blank, " ")
    return f" {text} "


def can_match(entry: str) -> bool:
    """Whether there is a text that `entry` occurs in.

    None has a tab, a line end, a mark that is a part of a word, or two marks with one blank between them.
    """
    is_mark = [token in set(MARKS) for token in entry.split(" ")]
    words = [token for token, mark in zip(entry.split(" "), is_mark, strict=True) if not mark]
    beside = any(mark and following for mark, following in pairwise(is_mark))
    return not beside and not any(mark in word for mark in MARKS + BLANKS for word in words)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch of texts, in order: where each lies in `content`, and the number of its text.

    `last` are the numbers of each text's last token. `content` ends with as many zero bytes as a short word may have.
    """

    content: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    texts: np.ndarray
    last: np.ndarray


def tokens_of(texts: pa.Array) -> Tokens:
    """The tokens of `texts` (strings without nulls)."""
    texts = texts.cast(pa.large_binary())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    kinds = _KIND[content]
    special = np.flatnonzero(kinds)
    # A blank ends a token. A mark ends one, is one, and ends there.
    cuts = kinds[special].astype(np.int64)
    before = np.concatenate([[0], np.cumsum(cuts)])
    is_blank = cuts == _BLANK
    ends = np.repeat(special, cuts)
    ends[before[1:][~is_blank] - 1] += 1
    starts = ends + np.repeat(is_blank, cuts)
    # Each text begins a token besides, and ends one.
    firsts = before[np.searchsorted(special, offsets)] + np.arange(len(offsets))
    return Tokens(
        np.append(content, np.zeros(SHORT, np.uint8)),
        np.insert(starts, firsts[:-1] - np.arange(len(texts)), offsets[:-1]),
        np.insert(ends, firsts[1:] - np.arange(1, len(offsets)), offsets[1:]),
        np.repeat(np.arange(len(texts)), np.diff(firsts)),
        firsts[1:] - 1,
    )


class Words:
    """Numbers of different words, from 1 in the order in which they are given.

    Words of up to 16 bytes are found by hashing: `slots` hold numbers, and a word lies in the first free slot behind its
    hash. Longer ones are the keys of a dictionary.
    """

    def __init__(self, words: list[bytes]):
        self.long = {word: number for number, word in enumerate(words, 1) if len(word) > SHORT}
        lengths = np.array([0, *map(len, words)])
        ends = np.cumsum(lengths)
        content = np.frombuffer(b"".join(words) + bytes(SHORT), np.uint8)
        self.keys = self._keys(content, ends - lengths, np.minimum(lengths, SHORT))
        # No word has this length, so that an empty slot holds what nothing is equal to.
        self.keys[2][0] = SHORT + 1
        self.bits = max(4, int(8 * len(words)).bit_length())
        self.slots = np.zeros(1 << self.bits, np.int32)
        left = np.flatnonzero(lengths <= SHORT)[1:]
        places = self._hash(*(key[left] for key in self.keys))
        while len(left):
            free = self.slots[places] == 0
            self.slots[places[free]] = left[free]
            waiting = self.slots[places] != left
            left, places = left[waiting], (places[waiting] + 1) % len(self.slots)

    @staticmethod
    def _keys(
        content: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The first eight bytes of each word, the next eight, and its length."""
        eights = np.ndarray(len(content) - 7, "<u8", content.data, strides=(1,))
        later = np.maximum(lengths - 8, 0)
        return eights[starts] & _MASKS[lengths - later], eights[starts + 8 * (later > 0)] & _MASKS[later], lengths

    def _hash(self, first: np.ndarray, second: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        mixed = (first ^ second * _SPREAD ^ lengths.astype(np.uint64)) * _SPREAD
        return (((mixed ^ mixed >> _FOLD) * _SPREAD) >> np.uint64(64 - self.bits)).astype(np.int64)

    def look_up(self, tokens: Tokens) -> np.ndarray:
        """The number of each token's word, 0 where it is none of them."""
        lengths = tokens.ends - tokens.starts
        found = np.zeros(len(lengths), np.int64)
        for place in np.flatnonzero(lengths > SHORT) if self.long else []:
            found[place] = self.long.get(tokens.content[tokens.starts[place] : tokens.ends[place]].tobytes(), 0)
        left = np.flatnonzero(lengths <= SHORT)
        asked = self._keys(tokens.content, tokens.starts[left], lengths[left])
        places = self._hash(*asked)
        while len(left):
            numbers = self.slots[places]
            same = np.logical_and.reduce([key[numbers] == wanted for key, wanted in zip(self.keys, asked, strict=True)])
            found[left[same]] = numbers[same]
            more = np.flatnonzero((numbers > 0) & ~same)
            left, places = left[more], (places[more] + 1) % len(self.slots)
            asked = tuple(key[more] for key in asked)
        return found


class Matcher:
    """Finds the entries of a list in texts; the number of an entry is its place in the list.

    The sequences of tokens that entries begin with are states. Those of one token have the token's number; `keys` are
    pairs of a state and the token that comes next, sorted, and `targets` the states that they lead to.
    """

    def __init__(self, entries: Iterable[str]):
        numbers: dict[bytes, int] = {}
        sequences = []
        for entry in entries:
            tokens = entry.encode().split(b" ")
            sequences.append([numbers.setdefault(token, len(numbers) + 1) for token in tokens])
        self.size = len(sequences)
        self.words = Words(list(numbers))
        self.base = len(numbers) + 1
        states: dict[int, int] = {}
        ends = {}
        for number, (state, *rest) in enumerate(sequences):
            for token in rest:
                state = states.setdefault(state * self.base + token, self.base + len(states))
            ends[state] = number
        self.entries = np.full(self.base + len(states), -1, np.int32)
        self.entries[np.fromiter(ends, np.int64, len(ends))] = np.fromiter(ends.values(), np.int32, len(ends))
        keys = np.fromiter(states, np.int64, len(states))
        order = np.argsort(keys)
        self.keys = keys[order]
        self.targets = np.fromiter(states.values(), np.int64, len(states))[order]
        self.goes_on = np.zeros(len(self.entries), bool)
        self.goes_on[self.keys // self.base] = True
        self.sieve = np.zeros(1 << SIEVE_BITS, bool)
        self.sieve[self._hash(self.keys)] = True

    @staticmethod
    def _hash(keys: np.ndarray) -> np.ndarray:
        return (keys.view(np.uint64) * _SPREAD) >> np.uint64(64 - SIEVE_BITS)

    def match(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """The entries that occur in each of `texts` (N strings), each once, ascending.

        Returns offsets (N + 1) and numbers of entries (M): those of text i are numbers[offsets[i] : offsets[i + 1]].
        """
        tokens = tokens_of(texts)
        words = self.words.look_up(tokens)
        following = np.append(words[1:], 0)
        following[tokens.last] = 0
        found = self.entries[words]
        hits = np.flatnonzero(found >= 0)
        pairs = [tokens.texts[hits] * self.size + found[hits]]
        position = np.flatnonzero(self.goes_on[words] & (following > 0))
        state = words[position]
        while len(position):
            keys = state * self.base + following[position]
            likely = np.flatnonzero(self.sieve[self._hash(keys)])
            keys, position = keys[likely], position[likely]
            place = np.searchsorted(self.keys, keys)
            place[place == len(self.keys)] = 0
            right = self.keys[place] == keys
            state, position = self.targets[place[right]], position[right] + 1
            found = self.entries[state]
            hits = np.flatnonzero(found >= 0)
            pairs.append(tokens.texts[position[hits]] * self.size + found[hits])
            more = self.goes_on[state]
            state, position = state[more], position[more]
        # Not np.unique, which hashes, and sorts what it found.
        pair = np.sort(np.concatenate(pairs))
        pair = pair[np.append(True, pair[1:] != pair[:-1])] if len(pair) else pair
        text, entry = np.divmod(pair, max(self.size, 1))
        return np.searchsorted(text, np.arange(len(texts) + 1)), entry.astype(np.int32)
