"""Conditions in SQL on the columns of the table of samples: what may stand in one, and which rows fulfil it.

A condition is parsed before any work, and not run: it must be an expression over columns, constants and functions of
values that always give the same. So it cannot read files or other tables, change anything, or give another result in
another run. It is evaluated by a DuckDB that can reach nothing but the table it is given.
"""

import json
from collections.abc import Iterator
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa

STATEMENT = "SELECT (\n{where}\n) IS TRUE AS kept FROM samples"
NODES = {
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"),
    *("FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "TYPE"),
}
"""What an expression may consist of, by the names of DuckDB's parser."""

CHANGING = {"age", "version", "current_localtime", "current_localtimestamp"}
"""Functions whose values depend on the day or on DuckDB although DuckDB calls them consistent."""

CLOCK = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""What reads like a column and is the clock."""

LOCKED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
    "lock_configuration": "true",
}


class PredicateError(ValueError):
    """A condition is no expression over the columns of the table, or one that could do more than compare them."""


def check_predicate(where: str) -> list[str]:
    """The columns that the condition `where` asks for; raises `PredicateError` where it is not what it may be."""
    if not where.strip():
        raise PredicateError("the condition is empty")
    statement, frame = parse(where), parse("true")
    try:
        condition = statement["node"]["select_list"][0]["left"].pop("child")
        frame["node"]["select_list"][0]["left"].pop("child")
    except (KeyError, IndexError):
        condition, frame = None, None
    if frame != statement:
        raise PredicateError(f"{where!r} is more than one condition. Write what could stand behind WHERE, once")
    columns = []
    for node in nodes_of(condition):
        if node["class"] not in NODES:
            kind = node["class"].lower().replace("_", " ")
            raise PredicateError(f"{where!r} has a {kind}. Write conditions on the row's own columns alone")
        if node["class"] == "FUNCTION" and node["function_name"].lower() not in functions():
            raise PredicateError(
                f"{where!r} calls {node['function_name']}, which is no function of a row's values that always gives the same"
            )
        if node["class"] == "COLUMN_REF":
            if node["column_names"][-1].lower() in CLOCK:
                raise PredicateError(f"{where!r} asks for {node['column_names'][-1]}, which is another every time")
            columns.append(node["column_names"][-1])
    return sorted(set(columns))


def parse(where: str) -> dict:
    """DuckDB's syntax tree of `STATEMENT` with a condition, without places in the text."""
    with duckdb.connect(config=LOCKED) as connection:
        text = connection.execute("SELECT json_serialize_sql($1)", [STATEMENT.format(where=where)]).fetchone()[0]
    tree = json.loads(text)
    if tree["error"]:
        raise PredicateError(f"{where!r} is no condition in DuckDB's SQL: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise PredicateError(f"{where!r} has {len(tree['statements'])} statements. Write one condition")
    return without_places(tree["statements"][0])


def without_places(node: object) -> object:
    if isinstance(node, list):
        return [without_places(entry) for entry in node]
    if isinstance(node, dict):
        return {key: without_places(entry) for key, entry in node.items() if not key.startswith("query_location")}
    return node


def nodes_of(node: object) -> Iterator[dict]:
    """Every expression in a syntax tree, from the outside to the inside."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        elif "node" in node:
            # A query of its own, in whatever kind of expression it stands.
            yield {"class": "SUBQUERY"}
    for entry in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes_of(entry)


@cache
def functions() -> frozenset[str]:
    """Names of DuckDB's functions of values, operators among them, of which every form always gives the same."""
    with duckdb.connect() as connection:
        rows = connection.sql(
            "SELECT lower(function_name) FROM duckdb_functions() GROUP BY ALL "
            "HAVING bool_and(function_type = 'scalar' AND stability = 'CONSISTENT')"
        ).fetchall()
    return frozenset(name for (name,) in rows) - CHANGING


def keep_rows(samples: pa.Table, where: str) -> np.ndarray:
    """Which rows of `samples` fulfil `where` (N booleans); raises `PredicateError` where it does not fit their columns."""
    check_predicate(where)
    with duckdb.connect() as connection:
        connection.register("samples", samples)
        for option, value in LOCKED.items():
            connection.execute(f"SET {option} = {value}")
        try:
            return connection.execute(STATEMENT.format(where=where)).fetchnumpy()["kept"].astype(bool)
        except duckdb.Error as error:
            names = ", ".join(samples.column_names)
            raise PredicateError(f"{where!r}: {str(error).splitlines()[0]}. The columns are {names}") from error
