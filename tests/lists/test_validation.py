"""Rows validated in batches are kept, cleaned and dropped as by the rules for one row."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testbed.lists.batches import Batch
from testbed.lists.formats import FORMATS
from testbed.lists.pairs import clean_caption, clean_url, uid, url_fault
from testbed.lists.validation import PLAIN_CAPTION, PLAIN_URL, cleaned, validate_batch

URL_PIECES = ["http", "https", "HTTP", "ftp", ":", "//", "/", ".", "a", "a-b", "test", "localhost", "com", "C", "1"]
URL_PIECES += [
    "0x7f",
    "127.0.0.1",
    "@",
    "[",
    "]",
    "?",
    "#",
    "\\",
    "%",
    " ",
    "\t",
    "\0",
    "\x7f",
    "é",
    "80",
    "-",
    "_",
    "~",
]
CAPTION_PIECES = [*"at \t\n\\~", r"\t", "  ", "\x00", "\x85", "\u00a0", "\u2028", "\u3000", "é", "猫"]
LONGEST = 12

beginnings = st.sampled_from(["", "http://", "https://a.test", "http://a.test/"])
urls = st.tuples(beginnings, st.lists(st.sampled_from(URL_PIECES), max_size=8).map("".join)).map("".join)
captions = st.lists(st.sampled_from(CAPTION_PIECES), max_size=8).map("".join)
rows = st.tuples(st.none() | urls, st.none() | captions, st.sampled_from([None, "UNLIKELY", "NSFW"]), st.booleans())


def judged_singly(row, format) -> tuple[str | None, str, str]:
    """The cause to drop a row, or None, and its URL and caption, in the order of `pairs.CAUSES`."""
    url, caption, value, malformed = row
    if malformed:
        return "malformed", "", ""
    if format.only and value != format.only[1]:
        return format.only[2], "", ""
    text, address = clean_caption(caption or ""), clean_url(url or "")
    if not text:
        return "empty_caption", "", ""
    if len(text) > LONGEST:
        return "long_caption", "", ""
    return url_fault(address), address, text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["laion", "parquet"])
@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(st.lists(rows, max_size=9))
@example([("http://a.localhost/1.jpg", "a", "UNLIKELY", False), ("http://a.test", "t", "UNLIKELY", False)])
@example(
    [("http://a.test/1", caption, "UNLIKELY", False) for caption in (r"a\t", r"\t", r"a \t\t", "at", "\\", "~t t")]
)
def test_batches_are_judged_as_rows_are(name, listed):
    format = FORMATS[name]
    url, caption, value, malformed = zip(*listed, strict=True) if listed else ((), (), (), ())
    texts = [pa.array(cells, pa.string()) for cells in (url, caption, value)]
    places = pa.array(range(len(listed)))
    batch = Batch(*texts, np.array(malformed, bool), lambda kept: [places.filter(pa.array(kept))])
    count, columns, dropped = validate_batch(batch, format, LONGEST)
    wanted = [judged_singly(row, format) for row in listed]
    assert count == len(listed)
    assert dropped == Counter(cause for cause, *_ in wanted if cause)
    kept = [(uid(*pair), *pair, place) for place, (cause, *pair) in enumerate(wanted) if not cause]
    assert list(zip(*(column.to_pylist() for column in columns), strict=True)) == kept


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(st.lists(urls, min_size=1), st.lists(captions, min_size=1))
def test_what_is_plain_needs_no_mending(addresses, texts):
    for plain, found, rule in (
        (PLAIN_URL, addresses, lambda url: url if url_fault(url) is None else None),
        (PLAIN_CAPTION, texts, clean_caption),
    ):
        _, unusual = cleaned(pa.array(found, pa.string()), plain, str)
        for text in np.array(found, object)[~unusual]:
            assert rule(text) == text


def test_most_rows_are_plain():
    """Else the short way would be none."""
    for plain, text in (
        (PLAIN_URL, "https://i.redd.it/a1.jpg?x=y"),
        (PLAIN_CAPTION, "A photo (mine): a cat's left foot"),
    ):
        assert not cleaned(pa.array([text]), plain, str)[1].any()
