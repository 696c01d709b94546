"""Columns and conditions of filters are checked against a list and a user's table before there are samples."""

import pyarrow as pa
import pytest

from testbed.filtering.planned_columns import check_filter
from testbed.shards.samples import no_samples

COLUMNS = no_samples(pa.schema([("uid", pa.string()), ("similarity", pa.float64()), ("alt", pa.string())]))


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text("uid,score,text\na,0.5,a cat\n")
    (tmp_path / "other.tsv").write_text("url\tsimilarity\thost\nhttp://a.test\t0.5\ta.test\n")
    (tmp_path / "large.csv").write_text("uid,score,text\n" + f"a,0.5,{'cat' * 1000}\n" * 7000)


OWN = {"path": "own.csv", "key": "uid"}
OTHER = {"path": "other.tsv", "key": "url"}


def problems(**entries) -> list[str]:
    filters = {name: {"from": "a", "method": "all"} | entry for name, entry in entries.items()}
    return list(check_filter(filters, list(entries)[-1], COLUMNS))


@pytest.mark.parametrize(
    "entries",
    [
        {"f": {"columns_from": OWN, "where": "score > 0.1 AND similarity > 0.2 AND lower(text) = 'x'"}},
        {"f": {"columns_from": OWN, "caption": "text"}},
        {"f": {"caption": "alt"}},
        {"f": {"columns_from": OWN}, "g": {"from": "f", "where": "score > 0.1"}},
        {"f": {"columns_from": OTHER | {"columns": {"other": "similarity"}}, "where": "other > similarity"}},
        # Types of a large text file are not known, and a missing file is reported elsewhere.
        {"f": {"columns_from": {"path": "large.csv", "key": "uid"}, "where": "score + 1 > 0.1"}},
        {"f": {"columns_from": {"path": "gone.csv", "key": "uid"}, "where": "scores > 0.1"}},
        {"f": {"columns_from": {"path": "gone.csv", "key": "uid"}}, "g": {"from": "f", "where": "scores > 0.1"}},
    ],
)
def test_what_fits_has_no_problem(entries):
    assert problems(**entries) == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"f": {"columns_from": OWN, "where": "scores > 1"}}, ["filters.f.where: 'scores > 1'", "score, text"]),
        ({"f": {"columns_from": OWN, "caption": "texts"}}, ["filters.f.caption: the samples have no column texts"]),
        (
            {"f": {"columns_from": OTHER}},
            ["filters.f.columns_from: other.tsv: column similarity is also", "samples of a"],
        ),
        (
            {"f": {"columns_from": OWN}, "g": {"from": "f", "columns_from": OWN}},
            ["filters.g.columns_from: own.csv: column score is also a column of the samples of f", "my_score: score"],
        ),
        (
            {"f": {"columns_from": OWN | {"key": "sha256", "key_column": "uid"}}},
            ["columns_from.key: sha256", "uid or url"],
        ),
        ({"f": {"columns_from": OWN | {"key": "source_uid"}}}, ["filters.f.columns_from.key: source_uid"]),
    ],
)
def test_what_does_not_fit_is_told_with_a_way_out(entries, words):
    (problem,) = problems(**entries)
    assert [word for word in words if word not in problem] == []
