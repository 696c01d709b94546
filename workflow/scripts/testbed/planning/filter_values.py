"""Checks of filter values that need the library of the filter: SQL conditions and languages."""

from collections.abc import Iterator, Mapping


def filter_value_problems(filters: Mapping[str, Mapping]) -> Iterator[str]:
    """Yield a line for each invalid condition or language. `filters` are the experiment's entries by name."""
    for name, entry in filters.items():
        if entry["method"] in ("sql", "remove") and "where" in entry:
            yield from _where_problems(name, entry["where"])
        if entry["method"] == "basic" and "language" in entry:
            yield from _language_problems(name, entry["language"])


def _where_problems(name: str, where: str) -> Iterator[str]:
    # DuckDB is slow to import, and most experiments do not need it here.
    from testbed.filtering.conditions import PredicateError, check_predicate

    try:
        check_predicate(where)
    except PredicateError as error:
        yield f"filters.{name}.where: {error}."


def _language_problems(name: str, language: str) -> Iterator[str]:
    # Loading the language model takes a second.
    from testbed.filtering.selection import known_languages

    if language not in (known := known_languages()):
        yield (
            f"filters.{name}.language: {language} is not one of the {len(known)} languages that py3langid knows. Write a "
            "code of ISO 639-1, such as en."
        )
