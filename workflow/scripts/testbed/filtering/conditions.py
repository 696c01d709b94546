"""SQL conditions on the columns of the table of samples: checks a condition, and finds the rows that fulfil it.

A condition is parsed before a run begins. It must be an expression over columns, constants and deterministic scalar
functions. So it cannot read files or other tables, change anything, or give different results in two runs. DuckDB
evaluates it without access to anything but the table.
"""

import json
from collections.abc import Iterator
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa

STATEMENT = "SELECT (\n{where}\n) IS TRUE AS kept FROM samples"
ALLOWED_EXPRESSIONS = {
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"),
    *("FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "TYPE"),
}
"""Classes of expressions that a condition may have, as DuckDB's parser names them."""

DATE_DEPENDENT = {"age", "version", "current_localtime", "current_localtimestamp"}
"""Functions that depend on the date or on DuckDB's version, although DuckDB calls them consistent."""

CLOCK_VALUES = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""Keywords that look like columns and give the time."""

RESTRICTED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
    "lock_configuration": "true",
}


class PredicateError(ValueError):
    """A condition is not an expression over the columns of the table, or could do more than compare them."""


def check_predicate(where: str) -> list[str]:
    """The columns that the condition `where` uses; raises `PredicateError` for a condition that is not allowed."""
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
    for node in expressions_of(condition):
        if node["class"] not in ALLOWED_EXPRESSIONS:
            kind = node["class"].lower().replace("_", " ")
            raise PredicateError(f"{where!r} has a {kind}. Write conditions on the row's own columns alone")
        if node["class"] == "FUNCTION" and node["function_name"].lower() not in functions():
            raise PredicateError(
                f"{where!r} calls {node['function_name']}, which is not a deterministic function of a row's values. Call "
                "another function"
            )
        if node["class"] == "COLUMN_REF":
            if node["column_names"][-1].lower() in CLOCK_VALUES:
                raise PredicateError(
                    f"{where!r} uses {node['column_names'][-1]}, which differs between runs. Write a fixed date or time"
                )
            columns.append(node["column_names"][-1])
    return sorted(set(columns))


def parse(where: str) -> dict:
    """DuckDB's syntax tree of `STATEMENT` with the condition `where`, without positions in the text."""
    with duckdb.connect(config=RESTRICTED) as connection:
        text = connection.execute("SELECT json_serialize_sql($1)", [STATEMENT.format(where=where)]).fetchone()[0]
    tree = json.loads(text)
    if tree["error"]:
        raise PredicateError(f"{where!r} is not a condition in DuckDB's SQL: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise PredicateError(f"{where!r} has {len(tree['statements'])} statements. Write one condition")
    return drop_locations(tree["statements"][0])


def drop_locations(node: object) -> object:
    if isinstance(node, list):
        return [drop_locations(entry) for entry in node]
    if isinstance(node, dict):
        return {key: drop_locations(entry) for key, entry in node.items() if not key.startswith("query_location")}
    return node


def expressions_of(node: object) -> Iterator[dict]:
    """All expressions in a syntax tree, outer ones first."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        elif "node" in node:
            # A subquery, in any kind of expression.
            yield {"class": "SUBQUERY"}
    for entry in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from expressions_of(entry)


@cache
def functions() -> frozenset[str]:
    """Names of DuckDB's scalar functions and operators whose overloads are all deterministic."""
    with duckdb.connect() as connection:
        rows = connection.sql(
            "SELECT lower(function_name) FROM duckdb_functions() GROUP BY ALL "
            "HAVING bool_and(function_type = 'scalar' AND stability = 'CONSISTENT')"
        ).fetchall()
    return frozenset(name for (name,) in rows) - DATE_DEPENDENT


def keep_rows(samples: pa.Table, where: str) -> np.ndarray:
    """Whether each row of `samples` fulfils `where` (N booleans); raises `PredicateError` if it does not fit the columns."""
    check_predicate(where)
    with duckdb.connect() as connection:
        connection.register("samples", samples)
        for option, value in RESTRICTED.items():
            connection.execute(f"SET {option} = {value}")
        try:
            return connection.execute(STATEMENT.format(where=where)).fetchnumpy()["kept"].astype(bool)
        except duckdb.Error as error:
            names = ", ".join(samples.column_names)
            raise PredicateError(f"{where!r}: {str(error).splitlines()[0]}. The columns are {names}") from error
