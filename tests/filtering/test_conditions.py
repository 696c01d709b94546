"""What a condition of a filter may do: compare a row's own values, and nothing else."""

import pytest

from testbed.filtering.conditions import PredicateError, check_predicate


@pytest.mark.parametrize(
    "where",
    [
        "similarity > 0.3 AND NSFW = 'UNLIKELY'",
        "caption LIKE '%dog%' OR caption ILIKE 'x' OR caption SIMILAR TO 'y'",
        "likes IN (1, 2) AND likes BETWEEN 1 AND 2 AND likes NOT IN (3)",
        "CASE WHEN likes > 1 THEN width ELSE height END::DOUBLE > 2.5",
        "NOT (url IS NULL) AND regexp_matches(caption, 'a;b') AND length(caption) > 3 -- a remark",
        "len(list_filter(tags, lambda tag: tag = 'x')) > 0",
        "coalesce(likes, 0) + 1 > 2 AND samples.likes < 5 AND caption || url <> ''",
    ],
)
def test_conditions_on_a_rows_own_values_are_allowed(where):
    assert check_predicate(where)


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("", "empty"),
        ("likes >", "syntax error"),
        ("likes > 1; SELECT 1", "syntax error"),
        ("true) IS TRUE AS kept FROM samples; DROP TABLE samples; SELECT (true", "more than one condition|statements"),
        ("true) IS TRUE AS kept, (1", "more than one condition"),
        ("likes) OR (true", "more than one condition"),
        ("true) IS TRUE FROM samples UNION SELECT (true", "more than one condition"),
        ("likes IN (SELECT 1)", "subquery"),
        ("EXISTS (FROM read_text('list.txt'))", "subquery"),
        ("CASE WHEN (SELECT true) THEN true END", "subquery"),
        ("likes = ANY (SELECT 1)", "subquery"),
        ("{'a': (FROM read_csv('x'))} IS NULL", "subquery"),
        ("row_number() OVER () < 5", "window"),
        ("count(*) > 1", "count_star"),
        ("max(likes) > 1", "max"),
        ("COLUMNS('.*') = 1", "star"),
        ("random() < 0.5", "random"),
        ("uuid() = uid", "uuid"),
        ("now() > taken", "now"),
        ("CURRENT_TIMESTAMP > taken", "CURRENT_TIMESTAMP"),
        ("current_date > taken", "current_date"),
        ("today() > taken", "today"),
        ("age(taken) > INTERVAL 1 DAY", "age"),
        ("getenv('HOME') = 'x'", "getenv"),
        ("current_setting('threads') = '1'", "current_setting"),
        ("nextval('x') > 1", "nextval"),
        ("read_blob('list.txt') IS NULL", "read_blob"),
        ("glob('*') IS NULL", "glob"),
        ("nothing_of_this_name(likes)", "nothing_of_this_name"),
        ("$1 = 2", "more than one condition|parameter"),
    ],
)
def test_what_could_do_more_than_compare_values_is_refused(where, word):
    with pytest.raises(PredicateError, match=word):
        check_predicate(where)
