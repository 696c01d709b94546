"""JSON lines that Arrow parses give the rows that Python gives, or go to Python."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_lists import listed
from testbed.lists import line_batches, text_lines
from testbed.lists.formats import FORMATS, resolve_format
from testbed.lists.json_lines import OtherTypesError
from testbed.lists.line_batches import arrow_lines, read_lines
from testbed.lists.released import read_rows
from testbed.lists.released_batches import map_batches

LINES = FORMATS["jsonl"]
OWN = {
    "whole": pa.int64(),
    "number": pa.float64(),
    "yes": pa.bool_(),
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "nothing": pa.null(),
}
VALUES = [
    "1",
    "-7",
    "1.5",
    "1e2",
    "1.0",
    "NaN",
    "true",
    "null",
    '"a"',
    '"\\ud83d"',
    '"\\u0000é"',
    "[]",
    '["a", "b"]',
    '["a", null]',
]
VALUES += [
    "[1]",
    "{}",
    '{"a": 1}',
    str(2**53),
    str(2**53 + 1),
    str(2**63),
    "9" * 400,
    '"' + "x" * 200 + '"',
    "1e999",
    "01",
]
RAW = [
    "",
    "null",
    "[]",
    "{}",
    "{",
    "}",
    "1",
    '{"url": "u", "caption": "c"} {"url": "u", "caption": "c"}',
    "\ufeff{}",
    "\r",
    " ",
]
RAW += [
    ' {"url": "u", "caption": "c"}',
    '{"url": "u", "caption": "c"}\r',
    '{"url": "u",\n"caption": "c"}',
    '{"url": {"a": [[]]}}',
]
names = st.sampled_from([*OWN, *OWN, "url", "caption", "more"])
values = st.sampled_from(VALUES)
members = st.lists(st.tuples(names, values), max_size=3)
objects = members.map(
    lambda found: (
        "{" + ", ".join(['"url": "u", "caption": "c"', *(f'"{name}": {value}' for name, value in found)]) + "}"
    )
)
fitting = st.fixed_dictionaries(
    {"url": st.sampled_from(["http://a.test/1", None]), "caption": st.sampled_from(["a", "é", ["b", "c"]])},
    optional={
        "whole": st.sampled_from([1, None, 2**60]),
        "number": st.sampled_from([0.5, 3, None]),
        "yes": st.booleans(),
        "text": st.sampled_from(["x", "\n", None]),
        "texts": st.sampled_from([["x"], [], None]),
        "nothing": st.none(),
    },
).map(json.dumps)
texts = st.lists(fitting | fitting | objects | st.sampled_from(RAW), min_size=1, max_size=5).map("\n".join).filter(bool)


def outcome(text, own):
    """The rows of some lines, None for malformed ones, or the name of the error."""
    try:
        batch = read_lines(text.encode(), LINES, own)
        columns = [batch.url, batch.caption, *batch.own_of(~batch.malformed)]
    except OtherTypesError:
        return "other types"
    assert [column.type for column in columns[2:]] == [
        pa.string() if kind == pa.null() else kind for kind in (own or {}).values()
    ]
    base = zip(*(column.to_pylist() for column in columns[:2]), strict=True)
    rest = iter(list(zip(*(column.to_pylist() for column in columns[2:]), strict=True)) or [()] * len(batch))
    return [None if bad else repr((*pair, *next(rest))) for pair, bad in zip(base, batch.malformed, strict=True)]


def refuse(*_):
    raise pa.ArrowInvalid("Python's turn")


@pytest.mark.slow
@pytest.mark.parametrize("own", [OWN, None], ids=["own", "none"])
@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(texts)
def test_arrow_and_python_give_the_same_rows(own, text):
    found = outcome(text, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_batches, "arrow_lines", refuse)
        assert found == outcome(text, own)


def test_ordinary_lines_are_parsed_by_arrow(tmp_path, monkeypatch):
    """Else the short way would be none; and memory does not grow with the file."""
    monkeypatch.setattr(line_batches, "PIECE", 1000)
    monkeypatch.setattr(line_batches, "objects", None)
    rows = [{"url": f"http://a.test/{row}", "caption": "é", "whole": row, "texts": ["a"]} for row in range(100)]
    path = listed(tmp_path, "\n".join(map(json.dumps, rows)) + "\n\n", "a.jsonl")
    sizes = [size for _, size in map_batches(len, [path], LINES, {"whole": pa.int64(), "texts": pa.list_(pa.string())})]
    assert max(sizes) < 20 and sum(sizes) == 100


def test_a_line_that_is_too_long_is_malformed(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 100)
    long = json.dumps({"url": "u", "caption": "x" * 500})
    path = listed(tmp_path, f'{long}\n{{"url": "u", "caption": "c"}}\n{long}', "a.jsonl")
    masks = [mask for _, mask in map_batches(lambda batch: batch.malformed, [path], LINES)]
    assert np.concatenate(masks).tolist() == [True, False, True]
    assert [row is None for row in read_rows(path, LINES)] == [True, False, True]


def test_places_in_nested_columns_are_for_python():
    nested = resolve_format("jsonl", {"url": "image.url", "caption": "captions[0]"})
    text = json.dumps({"image": {"url": "u"}, "captions": ["c"]}).encode()
    with pytest.raises(pa.ArrowInvalid):
        arrow_lines(text, nested, None)
    assert read_lines(text, nested, None).caption.to_pylist() == ["c"]
