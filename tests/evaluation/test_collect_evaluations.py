"""The table of all models is the rows of each model's."""

import pandas as pd
import pytest

from collect_evaluations import collect_evaluations
from example_evaluations import row, table
from testbed.statistics.tables import EVALUATION_COLUMNS, EvaluationsError


@pytest.fixture
def tables(tmp_path):
    """The tables of two models on two test sets."""
    paths = []
    for size in (600, 1200):
        rows = [row("photos", size, testset, 30 + size // 100, 100) for testset in ("mini_imagenet", "mini_sketch")]
        paths.append(tmp_path / f"{size}.csv")
        table(rows).to_csv(paths[-1], index=False)
    return paths


def test_rows_follow_each_other_under_one_header(tables, tmp_path):
    collect_evaluations(tables, tmp_path / "all.csv")
    first, second = (path.read_text() for path in tables)
    assert (tmp_path / "all.csv").read_text() == first + second.partition("\n")[2]
    assert not list(tmp_path.glob(".*"))


def test_tables_that_were_written_otherwise_are_brought_into_line(tables, tmp_path):
    collect_evaluations(tables, tmp_path / "all.csv")
    tables[0].write_text(tables[0].read_text().rstrip("\n"))
    content = pd.read_csv(tables[1], dtype=str)
    content = content[EVALUATION_COLUMNS[::-1]].assign(note="mine")
    tables[1].write_bytes(content.to_csv(index=False, lineterminator="\r\n").encode())
    collect_evaluations(tables, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "all.csv").read_text()


def test_the_same_model_twice_is_an_error_and_nothing_is_written(tables, tmp_path):
    with pytest.raises(EvaluationsError, match="2 rows for model photos-mini_rn-600-0"):
        collect_evaluations([*tables, tables[0]], tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


def test_a_table_that_is_not_sound_is_named(tables, tmp_path):
    tables[1].write_text(tables[1].read_text().replace(",top1,100,", ",top1,0,"))
    with pytest.raises(EvaluationsError, match=f"{tables[1]}, line 2: .*n '0' is not above 0"):
        collect_evaluations(tables, tmp_path / "all.csv")
