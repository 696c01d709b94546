"""Own columns of samples in tars: their types, their names, and tars that differ in them."""

import pyarrow as pa

from testbed.local.tables import MOST_COLUMNS, array_of, conformed, merged_columns, own_arrays


def table(*rows, **options):
    pair = {name: pa.array(["x"] * len(rows)) for name in ("uid", "url", "caption", "file", "file_key")}
    places = {name: pa.array([0] * len(rows)) for name in ("file_offset", "file_bytes")}
    return pa.table(pair | places | own_arrays(rows, ["url", "caption"]), **options)


def merged(*tables):
    columns = merged_columns(one.schema for one in tables)
    return pa.concat_tables([conformed(one, columns) for one in tables])


def test_types_are_those_of_the_values():
    kinds = {
        "int64": [1, None],
        "double": [1, 0.5, None],
        "bool": [True, None],
        "string": ["x", None],
        "null": [None],
    }
    assert {str(array_of(values).type) for values in kinds.values()} == set(kinds)
    assert array_of([1, "x", [1, {"ä": None}]]).to_pylist() == ["1", "x", '[1, {"ä": null}]']
    assert array_of([2**70, 1]).to_pylist() == [str(2**70), "1"]
    assert array_of([10**400, 0.5]).to_pylist() == [float("inf"), 0.5]
    assert array_of([True, 1]).to_pylist() == ["true", "1"]
    assert array_of(["\ud800"]).to_pylist() == ["?"]


def test_tars_with_other_columns_and_types_become_one_table():
    whole = merged(table({"a": 1, "b": None}), table({"a": 0.5, "c": True}), table({"b": "x", "a": None}))
    assert whole.select(["a", "b", "c"]).to_pylist() == [
        {"a": 1.0, "b": None, "c": None},
        {"a": 0.5, "b": None, "c": True},
        {"a": None, "b": "x", "c": None},
    ]
    assert merged(table({"a": 1}), table({"a": "x"}))["a"].to_pylist() == ["1", "x"]


def test_names_that_are_taken_get_a_prefix():
    whole = merged(table({"uid": "theirs", "UID": "too", "sha256": "s", "File": 3, "source_uid": "own"}))
    names = [name.lower() for name in whole.column_names]
    assert len(names) == 7 + 5 == len(set(names))
    assert whole["uid"].to_pylist() == ["x"] and whole["source_uid"].to_pylist() == ["theirs"]


def test_endless_columns_end_and_unusable_names_are_left_out():
    rows = [{f"{number}": number, "": 1, "a\nb": 2, "x" * 101: 3, "\ud800": 4} for number in range(1000)]
    whole = merged(table(*rows))
    assert len(whole.column_names) == 7 + MOST_COLUMNS
    assert whole["0"].to_pylist()[:2] == [0, None]


def test_integers_too_large_for_the_floats_of_another_tar_become_floats():
    whole = merged(table({"id": 2**53 + 1}), table({"id": 0.5}))
    assert whole["id"].to_pylist() == [float(2**53 + 1), 0.5]
