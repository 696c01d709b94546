"""Other captions: which samples take them, what becomes of the old ones, and what is in the shards."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from filter_tables import table_of, write_pool
from join_columns import join_columns
from reshard_samples import reshard_samples
from select_samples import Given, select_samples
from testbed.filtering.balancing import draw
from testbed.filtering.recaptioning import CaptionError
from testbed.records.manifest import problem, write_json
from testbed.shards.index import load_index

COUNT, SHARD = 30, 10


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Samples in three shards. Tests leave them as they are."""
    return write_pool(tmp_path_factory.mktemp("pool"), [f"caption {number}" for number in range(COUNT)], SHARD)


@pytest.fixture(scope="module")
def columns(pool, tmp_path_factory):
    """New captions for all samples but the first ten; every third of the others is empty or blank."""
    folder = tmp_path_factory.mktemp("columns")
    rows = [
        {
            "uid": row["uid"],
            "better": ("", None, " \t")[place % 9 // 3] if place % 3 == 0 else f"  ein\nBild 😀 {place}  ",
        }
        for place, row in enumerate(table_of(pool).to_pylist())
        if place >= 10
    ]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "own.parquet")
    given = {"path": str(folder / "own.parquet"), "key": "uid"}
    (folder / "joined").mkdir()
    manifest = join_columns(pool, given, [folder / "own.parquet"], folder / "joined")
    write_json(folder / "joined" / "manifest.json", manifest)
    return folder / "joined"


def recaptioned(pool, columns, folder, **rules) -> tuple[dict, list[dict]]:
    folder.mkdir(parents=True, exist_ok=True)
    rules = {"method": "all", "caption": "better", "seed": 0} | rules
    manifest = select_samples(pool, rules, folder, given=Given(columns=columns))
    write_json(folder / "manifest.json", manifest)
    return manifest, table_of(folder).to_pylist()


def resharded(pool, samples, folder) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = reshard_samples(samples, pool.parent / "shards", folder, SHARD, 1)
    write_json(folder / "manifest.json", manifest)
    return manifest


def members_of(folder) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            found |= {member.name: archive.extractfile(member).read() for member in archive}
    return found


def test_new_captions_take_the_place_of_old_ones_where_there_are_any(pool, columns, tmp_path):
    manifest, rows = recaptioned(pool, columns, tmp_path / "new")
    for place, row in enumerate(rows):
        has = place >= 10 and place % 3 > 0
        assert row["caption"] == (f"ein Bild 😀 {place}" if has else f"caption {place}")
        assert row["original_caption"] == f"caption {place}"
    new = sum(place % 3 > 0 for place in range(10, COUNT))
    assert manifest["captions"] == {"new": new, "without": COUNT - new, "not_drawn": 0}
    # The identity of a sample, and so its place in the order, stays that of the pair in the list.
    assert [row["uid"] for row in rows] == table_of(pool)["uid"].to_pylist()


def test_a_share_is_drawn_by_uid_and_a_larger_one_has_all_of_a_smaller(pool, columns, tmp_path):
    uids = np.array(table_of(pool)["uid"].to_pylist())
    found = {}
    for share in (0.3, 0.7):
        manifest, rows = recaptioned(pool, columns, tmp_path / str(share), share=share)
        found[share] = {row["uid"] for row in rows if row["caption"] != row["original_caption"]}
        drawn = set(uids[draw(uids.tolist(), "caption 0 mine") < share])
        has = {uid for place, uid in enumerate(uids) if place >= 10 and place % 3 > 0}
        assert found[share] == drawn & has
        assert manifest["captions"] == {
            "new": len(drawn & has),
            "without": len(drawn - has),
            "not_drawn": COUNT - len(drawn),
        }
    assert found[0.3] < found[0.7]


def test_shards_have_the_new_captions_and_the_same_images(pool, columns, tmp_path):
    _, rows = recaptioned(pool, columns, tmp_path / "new")
    manifest = resharded(pool, tmp_path / "new", tmp_path / "shards")
    before, after = members_of(pool.parent / "shards"), members_of(tmp_path / "shards")
    assert list(before) == list(after)
    for row in rows:
        uid, is_new = row["uid"], row["caption"] != row["original_caption"]
        assert after[f"{uid}.jpg"] == before[f"{uid}.jpg"]
        assert after[f"{uid}.txt"].decode() == row["caption"]
        facts = json.loads(before[f"{uid}.json"])
        more = {"caption": row["caption"], "original_caption": row["original_caption"]} if is_new else {}
        assert json.loads(after[f"{uid}.json"]) == facts | more
    # The first shard has no new caption. Records and indices are those of any shard.
    assert [(tmp_path / "shards" / file["name"]).is_symlink() for file in manifest["files"]] == [True, False, False]
    assert [problem(tmp_path / "shards", file) for file in manifest["files"]] == [None] * 3
    for number, file in enumerate(manifest["files"]):
        index = load_index(tmp_path / "shards" / f"{number:06d}.npy", SHARD)
        content = (tmp_path / "shards" / file["name"]).read_bytes()
        for row, entry in zip(rows[number * SHARD : (number + 1) * SHARD], index, strict=True):
            start, size = int(entry["caption"]), int(entry["caption_bytes"])
            assert content[start : start + size].decode() == row["caption"]


def test_shards_are_the_bytes_that_writing_the_samples_gives(pool, columns, tmp_path):
    recaptioned(pool, columns, tmp_path / "new", method="sql", where="likes >= 150")
    resharded(pool, tmp_path / "new", tmp_path / "shards")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in list(members_of(tmp_path / "shards").items())[: 3 * SHARD]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    assert (tmp_path / "shards/000000.tar").read_bytes() == file.getvalue()


def test_filters_of_such_a_pool_see_and_keep_the_new_captions(pool, columns, tmp_path):
    recaptioned(pool, columns, tmp_path / "new")
    (tmp_path / "again").mkdir()
    rules = {"method": "sql", "where": "caption LIKE '%Bild%'"}
    write_json(tmp_path / "again/manifest.json", select_samples(tmp_path / "new", rules, tmp_path / "again"))
    rows = table_of(tmp_path / "again").to_pylist()
    assert len(rows) == sum(place % 3 > 0 for place in range(10, COUNT))
    resharded(pool, tmp_path / "again", tmp_path / "shards")
    members = members_of(tmp_path / "shards")
    assert [members[f"{row['uid']}.txt"].decode() for row in rows] == [row["caption"] for row in rows]


def test_other_captions_write_shards_again_and_equal_ones_do_not(pool, columns, tmp_path):
    recaptioned(pool, columns, tmp_path / "new")
    first = resharded(pool, tmp_path / "new", tmp_path / "shards")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*.tar")}
    assert resharded(pool, tmp_path / "new", tmp_path / "shards") == first
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*.tar")} == times
    recaptioned(pool, columns, tmp_path / "new", share=0.3)
    other = resharded(pool, tmp_path / "new", tmp_path / "shards")
    assert [file["sha256"] for file in other["files"]] != [file["sha256"] for file in first["files"]]
    captions = {row["uid"]: row["caption"] for row in table_of(tmp_path / "new").to_pylist()}
    members = members_of(tmp_path / "shards")
    assert {uid: members[f"{uid}.txt"].decode() for uid in captions} == captions


def test_a_column_without_captions_is_named(pool, columns, tmp_path):
    with pytest.raises(
        CaptionError, match="the samples have no column best. The columns are uid, url, caption, .*better"
    ):
        recaptioned(pool, columns, tmp_path / "new", caption="best")
    with pytest.raises(CaptionError, match="column likes has the type int64. Name a column of texts"):
        recaptioned(pool, columns, tmp_path / "new", caption="likes")
