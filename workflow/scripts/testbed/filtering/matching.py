"""MetaCLIP's rule for which entries a text contains, for millions of texts and hundreds of thousands of entries.

The rule adds a space at both ends of the text and around each of seven punctuation marks, and replaces tabs and line ends
by spaces. A text contains an entry if it contains the entry with a space on both sides ("Demystifying CLIP Data", arXiv
2309.16671, `spacing` in its code). Matching is case-sensitive. Other punctuation belongs to its word.

Here text and entry are split at each space into tokens, some of them empty. A text contains an entry if the entry's tokens
are consecutive tokens of the text. NumPy processes all texts of a batch together: it finds their tokens, looks up the
words, and extends each sequence of tokens that an entry begins with. A word of up to 16 bytes is stored as two integers,
so that most words are looked up without a Python object.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

PUNCTUATION = ",.;:?!`"
WHITE_SPACE = " \t\n\r"

_INNER, _SPACE, _MARK = range(3)
_KIND = np.zeros(256, np.uint8)
_KIND[np.frombuffer(WHITE_SPACE.encode(), np.uint8)] = _SPACE
_KIND[np.frombuffer(PUNCTUATION.encode(), np.uint8)] = _MARK

SHORT = 16
"""Longest word, in bytes, that is compared as two integers."""

_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(29)

PREFILTER_BITS = 23
"""Size of a table of hashes that rejects most pairs of words without a search: most begin no entry."""


def add_spaces(text: str) -> str:
    """`text` as MetaCLIP compares it: spaces around it and around each mark, and in place of other ASCII white space."""
    for mark in PUNCTUATION:
        text = text.replace(mark, f" {mark} ")
    for character in WHITE_SPACE:
        text = text.replace(character, " ")
    return f" {text} "


def can_match(entry: str) -> bool:
    """Whether any text can contain `entry`.

    No text contains an entry with a tab, a line end, a punctuation mark inside a word, or two marks with one space between.
    """
    is_mark = [token in set(PUNCTUATION) for token in entry.split(" ")]
    words = [token for token, mark in zip(entry.split(" "), is_mark, strict=True) if not mark]
    beside = any(mark and following for mark, following in pairwise(is_mark))
    return not beside and not any(mark in word for mark in PUNCTUATION + WHITE_SPACE for word in words)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch of texts, in order: the start and end of each in `content`, and the index of its text.

    `last` has the index of each text's last token. `content` is padded with `SHORT` zero bytes.
    """

    content: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    texts: np.ndarray
    last: np.ndarray


def tokenise(texts: pa.Array) -> Tokens:
    """The tokens of `texts` (strings without nulls)."""
    texts = texts.cast(pa.large_binary())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    kinds = _KIND[content]
    special = np.flatnonzero(kinds)
    # A space ends a token. A punctuation mark ends a token and is a token.
    cuts = kinds[special].astype(np.int64)
    before = np.concatenate([[0], np.cumsum(cuts)])
    is_space = cuts == _SPACE
    ends = np.repeat(special, cuts)
    ends[before[1:][~is_space] - 1] += 1
    starts = ends + np.repeat(is_space, cuts)
    # A token also begins at the start of each text and ends at its end.
    firsts = before[np.searchsorted(special, offsets)] + np.arange(len(offsets))
    return Tokens(
        np.append(content, np.zeros(SHORT, np.uint8)),
        np.insert(starts, firsts[:-1] - np.arange(len(texts)), offsets[:-1]),
        np.insert(ends, firsts[1:] - np.arange(1, len(offsets)), offsets[1:]),
        np.repeat(np.arange(len(texts)), np.diff(firsts)),
        firsts[1:] - 1,
    )


class WordTable:
    """Numbers of distinct words, counted from 1 in the given order.

    Words of up to 16 bytes are in a hash table with linear probing: `slots` has the number of each. Longer words are in a
    dictionary.
    """

    def __init__(self, words: list[bytes]):
        self.long = {word: number for number, word in enumerate(words, 1) if len(word) > SHORT}
        lengths = np.array([0, *map(len, words)])
        ends = np.cumsum(lengths)
        content = np.frombuffer(b"".join(words) + bytes(SHORT), np.uint8)
        self.keys = self._keys(content, ends - lengths, np.minimum(lengths, SHORT))
        # No word has this length, so that no word equals the content of an empty slot.
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
        """The number of each token's word; 0 for a word that is not in the table."""
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
    """Finds the entries of a list in texts; the number of an entry is its index in the list.

    The entries form a trie. A state is a sequence of tokens that some entry begins with; the state of one token has the
    token's number. `keys` are the transitions (pairs of a state and the next token), sorted; `targets` are the next states.
    """

    def __init__(self, entries: Iterable[str]):
        numbers: dict[bytes, int] = {}
        sequences = []
        for entry in entries:
            tokens = entry.encode().split(b" ")
            sequences.append([numbers.setdefault(token, len(numbers) + 1) for token in tokens])
        self.size = len(sequences)
        self.words = WordTable(list(numbers))
        self.base = len(numbers) + 1
        states: dict[int, int] = {}
        final = {}
        for number, (state, *rest) in enumerate(sequences):
            for token in rest:
                state = states.setdefault(state * self.base + token, self.base + len(states))
            final[state] = number
        self.entries = np.full(self.base + len(states), -1, np.int32)
        self.entries[np.fromiter(final, np.int64, len(final))] = np.fromiter(final.values(), np.int32, len(final))
        keys = np.fromiter(states, np.int64, len(states))
        order = np.argsort(keys)
        self.keys = keys[order]
        self.targets = np.fromiter(states.values(), np.int64, len(states))[order]
        self.has_next = np.zeros(len(self.entries), bool)
        self.has_next[self.keys // self.base] = True
        self.possible = np.zeros(1 << PREFILTER_BITS, bool)
        self.possible[self._hash(self.keys)] = True

    @staticmethod
    def _hash(keys: np.ndarray) -> np.ndarray:
        return (keys.view(np.uint64) * _SPREAD) >> np.uint64(64 - PREFILTER_BITS)

    def match(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """The entries that each of `texts` (N strings) contains, without repeats, ascending.

        Returns offsets (N + 1) and entry numbers (M): text i has numbers[offsets[i] : offsets[i + 1]].
        """
        tokens = tokenise(texts)
        words = self.words.look_up(tokens)
        following = np.append(words[1:], 0)
        following[tokens.last] = 0
        found = self.entries[words]
        hits = np.flatnonzero(found >= 0)
        pairs = [tokens.texts[hits] * self.size + found[hits]]
        position = np.flatnonzero(self.has_next[words] & (following > 0))
        state = words[position]
        while len(position):
            keys = state * self.base + following[position]
            likely = np.flatnonzero(self.possible[self._hash(keys)])
            keys, position = keys[likely], position[likely]
            place = np.searchsorted(self.keys, keys)
            place[place == len(self.keys)] = 0
            right = self.keys[place] == keys
            state, position = self.targets[place[right]], position[right] + 1
            found = self.entries[state]
            hits = np.flatnonzero(found >= 0)
            pairs.append(tokens.texts[position[hits]] * self.size + found[hits])
            more = self.has_next[state]
            state, position = state[more], position[more]
        # Sorting is faster than np.unique, which hashes and then sorts.
        pair = np.sort(np.concatenate(pairs))
        pair = pair[np.append(True, pair[1:] != pair[:-1])] if len(pair) else pair
        text, entry = np.divmod(pair, max(self.size, 1))
        return np.searchsorted(text, np.arange(len(texts) + 1)), entry.astype(np.int32)
