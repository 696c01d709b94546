"""Whether values of filters hold that only a filter's own library can tell: conditions in SQL, and languages."""

from collections.abc import Iterator, Mapping


def filter_value_problems(filters: Mapping[str, Mapping]) -> Iterator[str]:
    """A line for each condition or language that does not hold; `filters` are the experiment's entries by name."""
    for name, entry in filters.items():
        if entry["method"] == "sql" and "where" in entry:
            yield from _where_problems(name, entry["where"])
        if entry["method"] == "basic" and "language" in entry:
            yield from _language_problems(name, entry["language"])


def _where_problems(name: str, where: str) -> Iterator[str]:
    # DuckDB takes a moment to load, and most experiments have no use for it here.
    from testbed.filtering.conditions import PredicateError, check_predicate

    try:
        check_predicate(where)
    except PredicateError as error:
        yield f"filters.{name}.where: {error}."


def _language_problems(name: str, language: str) -> Iterator[str]:
    # Loading what names languages takes a second.
    from testbed.filtering.selection import known_languages

    if language not in (known := known_languages()):
        yield (
            f"filters.{name}.language: {language} is none of the {len(known)} languages that py3langid knows. Write a code "
            "of ISO 639-1, such as en."
        )
