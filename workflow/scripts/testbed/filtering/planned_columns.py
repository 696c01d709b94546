"""Checks of a filter against the columns that its samples will have, before there are samples."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from testbed.filtering.conditions import PredicateError, keep_rows
from testbed.filtering.user_tables import KEYS, ColumnNameError, TableError, check_names, table_schema


def check_filter(filters: Mapping[str, Mapping], name: str, columns: pa.Table) -> Iterator[str]:
    """Yield a line for each key of the filter `name` that does not fit the columns of its samples.

    `columns` is an empty table with those of the source that all filters above begin with. Nothing is said where a table
    of the user's is missing, or has types that take long to derive.
    """
    lineage, pool = [], name
    while pool in filters:
        lineage.append(pool)
        pool = filters[pool]["from"]
    parent = filters[name]["from"]
    for one in reversed(lineage):
        given = filters[one].get("columns_from")
        if given is None:
            continue
        try:
            schema = table_schema(given)
            if one == name:
                check_names(given, dict(zip(schema.names, schema.names, strict=True)), parent, columns.column_names)
        except ColumnNameError as error:
            yield f"filters.{name}.columns_from: {error}."
            return
        except TableError:
            # Reported with the file.
            return
        if one == name and KEYS[given["key"]] not in columns.column_names:
            yield (
                f"filters.{name}.columns_from.key: {given['key']}: the list of {pool} has no column "
                f"{KEYS[given['key']]}. Choose uid or url."
            )
        for field in schema:
            if field.name not in columns.column_names:
                columns = columns.append_column(field, pa.array([], field.type))
    entry = filters[name]
    if "caption" in entry and entry["caption"] not in columns.column_names:
        yield (
            f"filters.{name}.caption: the samples have no column {entry['caption']}. The columns are "
            f"{', '.join(columns.column_names)}."
        )
    if "where" in entry and not any(pa.types.is_null(field.type) for field in columns.schema):
        try:
            keep_rows(columns, entry["where"])
        except PredicateError as error:
            yield f"filters.{name}.where: {error}."
