"""Columns of a user's table: what is joined to which sample, what is counted, and what is refused."""

import csv
import hashlib

import pyarrow as pa
import pytest
from pyarrow import parquet

from filter_tables import table_of, write_pool
from join_columns import join_columns
from select_samples import Given, select_samples
from testbed.filtering.user_tables import TableError, find_tables, table_problems, table_schema
from testbed.records.manifest import read_json, write_json

COUNT = 24


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Samples in four parts, the last of three. Tests leave them as they are."""
    return write_pool(tmp_path_factory.mktemp("pool"), [f"caption number {number}" for number in range(COUNT)], 7)


@pytest.fixture(scope="module")
def rows(pool) -> list[dict]:
    """A row of a user's table for two of three samples, in another order than the pool's."""
    samples = table_of(pool).to_pylist()
    return [
        {"uid": row["uid"], "url": row["url"], "score": place / 10, "text": f'new, "{place}"\tä'}
        for place, row in reversed([*enumerate(samples)])
        if place % 3
    ]


def joined(pool, folder, given: dict, **options) -> tuple[dict, pa.Table]:
    folder.mkdir(exist_ok=True)
    manifest = join_columns(pool, given, find_tables(given["path"]), folder, **options)
    write_json(folder / "manifest.json", manifest)
    return manifest, table_of(folder)


def write_csv(path, rows: list[dict]) -> str:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def write_tsv(path, rows: list[dict]) -> str:
    """Tab-separated lines without quoting, in which a quote is an ordinary character."""
    lines = ["\t".join(map(str, cells)) for cells in [rows[0], *(row.values() for row in rows)]]
    path.write_text("\n".join(lines).replace("\tä", "  ä") + "\n", encoding="utf-8")
    return str(path)


def write_parquet(path, rows: list[dict]) -> str:
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def expected(rows: list[dict], pool, **columns) -> list[dict]:
    """What each sample of the pool gets of `rows`: for each joined column, the name in the table."""
    by_uid = {row["uid"]: row for row in rows}
    found = [by_uid.get(row["uid"]) for row in table_of(pool).to_pylist()]
    return [
        {"_matched": row is not None, **{name: row and row[column] for name, column in columns.items()}}
        for row in found
    ]


@pytest.mark.parametrize("key", ["uid", "url"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv"])
def test_columns_go_to_the_samples_of_their_key(pool, rows, tmp_path, kind, key):
    own = [{name: row[name] for name in (key, "score", "text")} for row in rows]
    write = {"parquet": write_parquet, "csv": write_csv, "tsv": write_tsv}[kind]
    manifest, table = joined(pool, tmp_path / "columns", {"path": write(tmp_path / f"own.{kind}", own), "key": key})
    wanted = expected(rows, pool, score="score", text="text")
    if kind == "tsv":
        wanted = [row | {"text": row["text"] and row["text"].replace("\t", "  ")} for row in wanted]
    assert table.to_pylist() == wanted
    assert [file["rows"] for file in manifest["files"]] == [7, 7, 7, 3]
    assert (manifest["matched"], manifest["unmatched"], manifest["samples"]) == (16, 8, COUNT)
    assert manifest["joined"] == ["score", "text"]
    assert not (tmp_path / "columns" / "work").exists()


def test_several_files_are_one_table_and_columns_get_other_names(pool, rows, tmp_path):
    for number in range(3):
        write_parquet(tmp_path / f"part-{number}.parquet", rows[number::3])
    given = {"path": str(tmp_path / "part-*.parquet"), "key": "uid", "columns": {"mine": "score", "link": "url"}}
    _, table = joined(pool, tmp_path / "columns", given)
    assert table.to_pylist() == expected(rows, pool, mine="score", link="url")


def test_uids_in_any_spelling_and_hashes_as_bytes_are_keys(pool, rows, tmp_path):
    spelled = [
        {"id": f" {row['uid'][:8]}-{row['uid'][8:]}".upper() if place % 2 else row["uid"], "score": row["score"]}
        for place, row in enumerate(rows)
    ]
    given = {"path": write_parquet(tmp_path / "own.parquet", spelled), "key": "uid", "key_column": "id"}
    _, table = joined(pool, tmp_path / "columns", given)
    assert table.to_pylist() == expected(rows, pool, score="score")
    packed = [{"id": bytes.fromhex(row["uid"]), "score": row["score"]} for row in rows]
    given["path"] = write_parquet(tmp_path / "packed.parquet", packed)
    assert joined(pool, tmp_path / "packed", given)[1].equals(table)


def test_the_hash_of_an_image_is_that_of_the_list(tmp_path):
    samples = write_pool(tmp_path, ["a", "b", "c"])
    table = table_of(samples)
    hashes = pa.array([hashlib.sha256(text).hexdigest() for text in (b"0", b"1", b"2")])
    parquet.write_table(table.append_column("expected_sha256", hashes), samples / "000000.parquet")
    manifest = read_json(samples / "manifest.json")
    manifest["files"][0]["bytes"] = (samples / "000000.parquet").stat().st_size
    write_json(samples / "manifest.json", manifest)
    own = [{"sha256": hashlib.sha256(b"1").hexdigest().upper(), "score": 1}]
    given = {"path": write_parquet(tmp_path / "own.parquet", own), "key": "sha256"}
    assert joined(samples, tmp_path / "columns", given)[1]["score"].to_pylist() == [None, 1, None]


@pytest.mark.parametrize(
    ("own", "keys"),
    [
        (["aB-1", "ab1", "ab-1"], ["ab-1", "ab1", "aB-1"]),
        (["0" * 31 + "f", "1" * 32, None], [bytes.fromhex("0" * 31 + "f"), bytes.fromhex("1" * 32), None]),
        ([7, 8, 9], [9, 8, 7]),
    ],
)
def test_uids_of_a_list_are_compared_as_they_are(tmp_path, own, keys):
    samples = write_pool(tmp_path, ["a", "b", "c"])
    parquet.write_table(table_of(samples).append_column("source_uid", pa.array(own)), samples / "000000.parquet")
    manifest = read_json(samples / "manifest.json")
    manifest["files"][0]["bytes"] = (samples / "000000.parquet").stat().st_size
    write_json(samples / "manifest.json", manifest)
    parquet.write_table(pa.table({"uid": keys, "score": [0, 1, 2]}), tmp_path / "own.parquet")
    given = {"path": str(tmp_path / "own.parquet"), "key": "source_uid"}
    found = joined(samples, tmp_path / "columns", given)[1]["score"].to_pylist()
    texts = [key.hex() if isinstance(key, bytes) else key for key in keys]
    assert found == [texts.index(uid) if uid is not None else None for uid in own]


def test_a_list_without_hashes_says_so(pool, rows, tmp_path):
    own = [{"sha256": "ab", "score": 1}]
    given = {"path": write_parquet(tmp_path / "own.parquet", own), "key": "sha256"}
    with pytest.raises(
        TableError, match="sha256: the samples of mine have no column expected_sha256. Choose uid or url"
    ):
        joined(pool, tmp_path / "columns", given)


def test_a_key_that_occurs_twice_is_named_with_both_places(pool, rows, tmp_path):
    write_parquet(tmp_path / "1.parquet", rows[:5])
    write_parquet(tmp_path / "2.parquet", [*rows[5:9], rows[3], rows[5]])
    given = {"path": str(tmp_path / "*.parquet"), "key": "uid", "columns": {"score": "score"}}
    with pytest.raises(TableError) as error:
        joined(pool, tmp_path / "columns", given)
    assert (
        f"uid {rows[3]['uid']} occurs twice, in row 4 of {tmp_path}/1.parquet and in row 5 of {tmp_path}/2.parquet"
        in str(error.value)
    )
    assert "2 keys occur more than once" in str(error.value)
    path = write_csv(tmp_path / "own.csv", [*rows, rows[0]])
    with pytest.raises(TableError, match=f"occurs twice, in row 1 of {path} and in row 17 of {path}; 1 keys"):
        joined(pool, tmp_path / "columns", given | {"path": path})


@pytest.mark.parametrize(
    ("columns", "given", "words"),
    [
        (["uid", "Caption"], {}, ["column Caption is also a column", "of mine", "columns: {my_caption: Caption}"]),
        (["uid", "clip_score"], {}, ["column clip_score is also a column"]),
        (["uid", "a", "b"], {"columns": {"a": "a", "A": "b"}}, ["A and a differ only in case"]),
        (["uid", "score"], {"columns": {"b": "scores"}}, ["has no column scores; it has uid, score"]),
        (["id", "score"], {}, ["has no column uid; it has id, score. Name its key in key_column"]),
        (["uid"], {}, ["has no column but the key uid"]),
    ],
)
def test_columns_that_do_not_fit_are_named_with_a_way_out(pool, tmp_path, columns, given, words):
    path = tmp_path / "own.parquet"
    parquet.write_table(pa.table([pa.array(["0" * 32])] * len(columns), columns), path)
    with pytest.raises(TableError) as error:
        joined(pool, tmp_path / "columns", {"path": str(path), "key": "uid", **given})
    assert [word for word in words if word not in str(error.value)] == []


def test_a_table_that_matches_nothing_is_an_error(pool, tmp_path):
    given = {"path": write_parquet(tmp_path / "own.parquet", [{"uid": "0" * 32, "score": 1}]), "key": "uid"}
    with pytest.raises(TableError, match="none of the 24 samples of mine has its uid in column uid. Correct"):
        joined(pool, tmp_path / "columns", given)


def test_digits_stay_texts_and_types_are_those_of_all_rows(pool, rows, tmp_path):
    """A uid of digits is no number, and a column whose last cell is a word holds texts."""
    path = tmp_path / "own.csv"
    numbers = "".join(f"{number:032d},{number}\n" for number in range(30_000))
    path.write_text(f"uid,label\n{numbers}{rows[0]['uid']},x\n")
    manifest, table = joined(pool, tmp_path / "columns", {"path": str(path), "key": "uid"})
    assert manifest["matched"] == 1
    assert [label for label in table["label"].to_pylist() if label] == ["x"]


def test_a_changed_table_is_joined_again_and_an_unchanged_one_is_not(pool, rows, tmp_path):
    given = {"path": write_parquet(tmp_path / "own.parquet", rows), "key": "uid", "columns": {"score": "score"}}
    first, _ = joined(pool, tmp_path / "columns", given)
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "columns").glob("*.parquet")}
    (tmp_path / "columns" / "000002.parquet").unlink()
    assert joined(pool, tmp_path / "columns", given)[0] == first
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "columns").glob("*.parquet")}
    assert {name for name in times if times[name] != after[name]} == {"000002.parquet"}
    write_parquet(tmp_path / "own.parquet", rows[1:])
    assert joined(pool, tmp_path / "columns", given)[0]["matched"] == 15


def test_parts_without_rows_are_joined(pool, rows, tmp_path):
    (tmp_path / "some").mkdir()
    kept = select_samples(pool, {"method": "sql", "where": "likes BETWEEN 70 AND 150"}, tmp_path / "some")
    write_json(tmp_path / "some" / "manifest.json", kept)
    assert [file["rows"] for file in kept["files"]] == [0, 7, 2, 0]
    given = {"path": write_parquet(tmp_path / "own.parquet", rows), "key": "uid", "columns": {"score": "score"}}
    manifest, table = joined(tmp_path / "some", tmp_path / "columns", given)
    assert [file["rows"] for file in manifest["files"]] == [0, 7, 2, 0]
    assert table.to_pylist() == expected(rows, pool, score="score")[7:16]


def test_a_filter_and_the_filters_of_it_select_by_joined_columns(pool, rows, tmp_path):
    given = {"path": write_parquet(tmp_path / "own.parquet", rows), "key": "uid", "columns": {"mine": "score"}}
    joined(pool, tmp_path / "columns", given)
    own = Given(columns=tmp_path / "columns")
    kept = {}
    for name, samples, rules, more in [
        ("scored", pool, {"method": "sql", "where": "mine > 0.45 OR mine IS NULL AND likes < 40"}, own),
        ("rest", pool, {"method": "remove", "where": "mine > 0.45 OR mine IS NULL AND likes < 40"}, own),
        ("again", tmp_path / "scored", {"method": "sql", "where": "mine < 1"}, Given()),
    ]:
        (tmp_path / name).mkdir()
        manifest = select_samples(samples, rules, tmp_path / name, given=more)
        write_json(tmp_path / name / "manifest.json", manifest)
        kept[name] = [int(caption.split()[-1]) for caption in table_of(tmp_path / name)["caption"].to_pylist()]
    assert kept["scored"] == [0, 3, *(place for place in range(5, COUNT) if place % 3)]
    assert kept["rest"] == [place for place in range(COUNT) if place not in kept["scored"]]
    assert kept["again"] == [5, 7, 8]
    facts = read_json(tmp_path / "scored" / "manifest.json")
    assert (facts["joined"], facts["unmatched"]) == (["mine"], 8)
    # Another table selects again.
    joined(pool, tmp_path / "columns", given | {"path": write_parquet(tmp_path / "own.parquet", rows[:-1])})
    changed = select_samples(pool, {"method": "sql", "where": "mine < 1"}, tmp_path / "scored", given=own)
    assert changed["unmatched"] == 9


def test_what_is_missing_is_told_before_a_run(tmp_path):
    gone = {"path": str(tmp_path / "gone.parquet"), "key": "uid"}
    assert list(table_problems(gone)) == [
        f"{tmp_path}/gone.parquet: there is no such file. Put the table there, or correct the path."
    ]
    (tmp_path / "own.xlsx").write_text("x")
    assert "kinds xlsx. Give files that all end in .parquet, .csv or .tsv" in next(
        table_problems(gone | {"path": str(tmp_path / "own.xlsx")})
    )
    (tmp_path / "broken.parquet").write_text("no parquet")
    assert "broken.parquet: cannot be read" in next(table_problems(gone | {"path": str(tmp_path / "broken.parquet")}))
    parquet.write_table(pa.table({"uid": [1], "score": [0.5]}), tmp_path / "numbers.parquet")
    assert "the key, has the type BIGINT. Write uid as text" in next(
        table_problems(gone | {"path": str(tmp_path / "numbers.parquet")})
    )


def test_the_types_of_columns_are_known_before_a_run(tmp_path):
    (tmp_path / "own.csv").write_text("uid,score,label\na,0.5,x\n")
    given = {"path": str(tmp_path / "own.csv"), "key": "uid", "columns": {"mine": "score"}}
    assert table_schema(given) == pa.schema([("mine", pa.float64())])
