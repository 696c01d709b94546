"""RedCaps' files read in pieces give the rows that reading them value by value gives, or the same refusal.

Only in fields that nobody reads, more passes than Python's json would take.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_lists import annotation, listed, prepare
from testbed.lists import json_batches, json_stream, released_batches
from testbed.lists.formats import FORMATS
from testbed.lists.pairs import ListError
from testbed.lists.released import read_rows
from testbed.lists.released_batches import map_batches

REDCAPS = FORMATS["redcaps"]
OWN = json_batches.REDCAPS_COLUMNS
TEXTS = ["a cat", "}, {", "}]", "]", '"annotations": [', "\\", '"', "\\}, {", "é", "猫", "\ud83d", "\n", "\0", ""]
RAW = [
    '{"url": "u", "caption": "c", "score": NaN}',
    '{"url": "u", "caption": "c", "score": 1.0}',
    '{"url": "u", "caption": "c", "score": 1e2, "created_utc": true}',
    '{"url": "u", "caption": "c", "score": 1, "score": 2}',
    '{"url": "u", "url": "v", "caption": "c"}',
    '{"url": "u", "caption": "c", "score": 1180591620717411303424}',
    '{"url": "u", "caption": "c", "score": "7", "author": 7}',
    '{"url": "u", "caption": "c", "crosspost_parents": [1, "p"]}',
    '{"url": "u", "caption": "c", "crosspost_parents": ["p"], "unknown": [{"a": 1}, {"b": 2}]}',
    '{"url": "u", "caption": "c", "crosspost_parents": {}}',
    '{"url": null, "caption": "c"}',
    '{"caption": "c"}',
    '{"url": 1, "caption": "c"}',
    '{"url": "u", "caption": "c", "score": ' + "9" * 5000 + "}",
    '{"url": "u", "caption": "c" , "x" : {"y": [[]]}}',
    '{"url": "u", "caption": "\\ud83d"}',
    '{"url": "u", "caption": "\\u0000\\u00e9\\ud83d\\ude00"}',
    "null",
    "[]",
    '"text"',
    "{}",
]
HEADS = ['{"info": {"version": "1.0"}, "annotations": [', '{"annotations": [', '{"annotations":[']
HEADS += [
    '{"info": {"annotations": [{"url": "no", "caption": "no"}]}, "annotations": [',
    '\ufeff{"annotations": [',
    "[",
]
TAILS = ["]}", '], "info": {"a": [{}]}}', '], "annotations": [{"url": "u", "caption": "c"}]}', "]", "", "]} more"]
DAMAGES = [None, b"", b"x", b"\xff", b"}", b'"', b"[", b"null", b"\n", b"\0"]
members = st.sampled_from(TEXTS).map(lambda text: json.dumps(annotation("u", text))) | st.sampled_from(
    [json.dumps(annotation("u", text), ensure_ascii=False) for text in TEXTS if text.isprintable()] + RAW
)
separators = st.sampled_from([", "] * 12 + [",", ",\n  ", " ", ""])
texts = st.tuples(st.sampled_from(HEADS), st.lists(st.tuples(members, separators), max_size=8), st.sampled_from(TAILS))


def rows_of(batch) -> list[tuple]:
    """What is known of each row, in Python's terms; None for a malformed one."""
    columns = [batch.url, batch.caption, *batch.own_of(~batch.malformed)]
    base = zip(*(column.to_pylist() for column in columns[:2]), strict=True)
    own = iter(zip(*(column.to_pylist() for column in columns[2:]), strict=True))
    return [None if bad else (*pair, *next(own, ())) for pair, bad in zip(base, batch.malformed, strict=True)]


def outcome(read) -> list | str:
    try:
        return list(chain.from_iterable(rows for _, rows in read()))
    except ListError as error:
        return str(error)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.slow
@settings(max_examples=2500, deadline=None, derandomize=True, database=None)
@given(texts, st.sampled_from([40, 300, 10**6]), st.floats(0, 1), st.sampled_from(DAMAGES))
def test_pieces_and_values_give_the_same_rows(tmp_path_factory, pool, written, piece, where, damage):
    head, body, tail = written
    content = (head + "".join(map("".join, body)).removesuffix(body[-1][1] if body else "") + tail).encode()
    if damage is not None:
        place = int(where * len(content))
        content = content[:place] + damage + content[place + 1 :]
    path = tmp_path_factory.getbasetemp() / "cats.json"
    path.write_bytes(content)
    digest = hashlib.sha256()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "PIECE", piece)
        found = outcome(lambda: map_batches(rows_of, [path], REDCAPS, OWN, pool, lambda _: digest.update))
    loads = released_batches.row_batches(read_rows(path, REDCAPS, list(OWN)), OWN)
    assert found == outcome(lambda: ((path, rows_of(load())) for load in loads))
    assert isinstance(found, str) or digest.digest() == hashlib.sha256(content).digest()


def test_files_as_released_are_read_in_pieces(tmp_path, monkeypatch):
    """Else the short way would be none; and memory does not grow with the file."""
    monkeypatch.setattr(json_stream, "PIECE", 1000)
    monkeypatch.setattr(released_batches, "read_rows", None)
    monkeypatch.setattr(json_batches, "cells_of", None)
    entries = [annotation(f"http://a.test/{number}", f"é {number}") for number in range(100)]
    path = listed(tmp_path, json.dumps({"info": {"v": "1"}, "annotations": entries}), "cats_2018.json")
    sizes = [size for _, size in map_batches(len, [path], REDCAPS, OWN)]
    assert max(sizes) < 20 and sum(sizes) == 100
    rows, _ = prepare(path, "redcaps")
    assert [row["url"] for row in rows] == [entry["url"] for entry in entries]


def test_a_file_that_goes_another_way_stays_in_its_place(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE", 400)
    wanted = []
    for number, strange in enumerate([None, 20, 0, None, 39]):
        captions = ["}, {" if row == strange else f"{number} {row}" for row in range(40)]
        wanted += [(f"http://a.test/{number}", caption) for caption in captions]
        entries = [annotation(f"http://a.test/{number}", caption) for caption in captions]
        listed(tmp_path, json.dumps({"annotations": entries}), f"{number}.json")
    files = sorted((tmp_path / "list").iterdir())
    found = list(map_batches(rows_of, files, REDCAPS, {}, pool))
    assert [row for _, rows in found for row in rows] == wanted
    assert [file for file, rows in found for _ in rows] == [file for file in files for _ in range(40)]


def test_deep_nesting_where_nobody_looks_is_no_crash(tmp_path):
    deep = "[" * 300_000 + "]" * 300_000
    member = '{"url": "u", "caption": "c", "x": ' + deep + "}"
    path = listed(tmp_path, '{"annotations": [' + f"{member}, {member}]}}", "cats_2018.json")
    assert outcome(lambda: map_batches(rows_of, [path], REDCAPS, {})) == [("u", "c")] * 2
