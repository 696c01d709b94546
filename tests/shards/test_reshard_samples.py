"""Shards of a filter: the bytes of what is kept, in order, as shard_samples would have written them; links where whole."""

import io
import tarfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from filter_tables import table_of, write_pool
from link_trainset import link_trainset
from reshard_samples import reshard_samples
from select_samples import select_samples
from testbed.records.files import add_member
from testbed.records.manifest import problem, read_json, write_json
from testbed.shards.samples import own_columns
from testbed.shards.shard_files import ShardError

COUNT, SHARD = 50, 10


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    captions = [f"caption {number}" + " more" * (number % 5) for number in range(COUNT)]
    return write_pool(tmp_path_factory.mktemp("pool"), captions, SHARD)


def filtered(pool, folder, where: str, name: str = "kept"):
    """The table of the samples of a pool that fulfil a condition."""
    samples = folder / f"{name}-samples" / name
    samples.mkdir(parents=True)
    manifest = select_samples(pool, {"method": "sql", "where": where}, samples)
    write_json(samples / "manifest.json", manifest)
    return samples


def resharded(pool, samples, folder, shard_size=SHARD, needed=1) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = reshard_samples(samples, pool.parent / "shards", folder, shard_size, needed)
    write_json(folder / "manifest.json", manifest)
    return manifest


def members_of(folder) -> list[tuple[str, bytes]]:
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            found += [(member.name, archive.extractfile(member).read()) for member in archive]
    return found


def kept_members(pool, samples) -> list[tuple[str, bytes]]:
    uids = set(table_of(samples)["uid"].to_pylist())
    return [(name, content) for name, content in members_of(pool.parent / "shards") if name.split(".")[0] in uids]


@pytest.mark.parametrize("where", ["likes % 20 = 0", "likes < 10", "likes NOT BETWEEN 80 AND 350"])
@pytest.mark.parametrize("shard_size", [7, 10, 64])
def test_shards_are_the_bytes_that_writing_the_samples_gives(pool, tmp_path, where, shard_size):
    samples = filtered(pool, tmp_path, where)
    manifest = resharded(pool, samples, tmp_path / "kept", shard_size)
    wanted = kept_members(pool, samples)
    assert members_of(tmp_path / "kept") == wanted
    for place, entry in enumerate(manifest["files"]):
        content, file = wanted[place * shard_size * 3 : (place + 1) * shard_size * 3], io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, body in content:
                add_member(archive, name, body)
        assert (tmp_path / "kept" / entry["name"]).read_bytes() == file.getvalue()
        assert problem(tmp_path / "kept", entry) is None
        assert entry["samples"] == len(content) / 3
        assert (entry["first_uid"], entry["last_uid"]) == (content[0][0][:-4], content[-1][0][:-4])
    assert manifest["samples"] == len(wanted) / 3 == sum(entry["samples"] for entry in manifest["files"])


def test_shards_that_are_kept_whole_are_linked(pool, tmp_path):
    samples = filtered(pool, tmp_path, "likes < 250 OR likes > 300")
    manifest = resharded(pool, samples, tmp_path / "kept")
    links = [(tmp_path / "kept" / entry["name"]).is_symlink() for entry in manifest["files"]]
    assert links == [True, True, False, False, False]
    assert members_of(tmp_path / "kept") == kept_members(pool, samples)
    assert [problem(tmp_path / "kept", entry) for entry in manifest["files"]] == [None] * 5


def test_another_selection_replaces_links_and_leaves_the_source_as_it_is(pool, tmp_path):
    before = members_of(pool.parent / "shards")
    resharded(pool, filtered(pool, tmp_path, "true", "all"), tmp_path / "kept")
    samples = filtered(pool, tmp_path, "likes >= 50", "some")
    resharded(pool, samples, tmp_path / "kept")
    assert members_of(tmp_path / "kept") == kept_members(pool, samples)
    assert members_of(pool.parent / "shards") == before


def test_a_filter_of_a_filter_copies_from_the_source(pool, tmp_path):
    first = filtered(pool, tmp_path, "likes % 20 = 0", "first")
    second = filtered(first, tmp_path, "likes % 30 = 0", "second")
    resharded(pool, second, tmp_path / "kept")
    assert table_of(second)["likes"].to_pylist() == list(range(0, 10 * COUNT, 60))
    assert members_of(tmp_path / "kept") == kept_members(pool, second)


def test_a_job_that_is_run_again_writes_only_what_is_missing(pool, tmp_path):
    samples = filtered(pool, tmp_path, "likes > 10")
    before = resharded(pool, samples, tmp_path / "kept")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*.tar")}
    (tmp_path / "kept" / "000001.json").unlink()
    (tmp_path / "kept" / "000003.tar").write_bytes(b"cut")
    assert resharded(pool, samples, tmp_path / "kept") == before
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*.tar")}
    assert {name for name in times if times[name] != after[name]} == {"000001.tar", "000003.tar"}


def test_trainsets_of_a_filter_are_nested(pool, tmp_path):
    samples = filtered(pool, tmp_path, "likes % 20 = 0")
    resharded(pool, samples, tmp_path / "kept")
    names = [name for name, _ in kept_members(pool, samples)]
    for size in (4, 10, 17):
        folder = tmp_path / f"size-{size}"
        folder.mkdir()
        manifest = link_trainset({"kept": size}, {"kept": tmp_path / "kept"}, folder)
        assert [name for name, _ in members_of(folder)] == names[: 3 * size]
        assert manifest["composition"] == {"kept": size}


def test_too_few_samples_are_an_error_that_says_how_many_there_are(pool, tmp_path):
    samples = filtered(pool, tmp_path, "likes % 20 = 0")
    with pytest.raises(ShardError, match="filter kept: keeps 25 of the 50 samples of mine, but .* needs 26. Lower the"):
        resharded(pool, samples, tmp_path / "kept", needed=26)
    assert not list((tmp_path / "kept").glob("*.tar"))


def test_a_shard_with_other_samples_is_named(tmp_path):
    pool = write_pool(tmp_path, [f"caption {number}" for number in range(20)])
    samples = filtered(pool, tmp_path, "likes > 10")
    path = tmp_path / "shards" / "000001.tar"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ShardError, match="000001.tar: sample .* is not at byte"):
        resharded(pool, samples, tmp_path / "kept")
    path.write_bytes(b"")
    with pytest.raises(ShardError, match="000001.tar: has 0 bytes"):
        resharded(pool, samples, tmp_path / "kept")


def test_the_table_of_samples_says_what_is_in_the_shards(pool):
    table = table_of(pool)
    assert table["caption"].to_pylist()[:2] == ["caption 0", "caption 1 more"]
    assert table["likes"].to_pylist() == [10 * number for number in range(COUNT)]
    assert table["original_width"].to_pylist() == [100 + number for number in range(COUNT)]
    assert table["shard"].to_pylist() == [f"{number // SHARD:06d}.tar" for number in range(COUNT)]
    for row in table.slice(8, 4).to_pylist():
        content = (pool.parent / "shards" / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["bytes"]]
        with tarfile.open(fileobj=io.BytesIO(content + bytes(1024))) as archive:
            assert archive.getnames() == [f"{row['uid']}.{extension}" for extension in ("jpg", "json", "txt")]


def test_columns_that_sql_could_not_tell_apart_are_renamed_and_types_are_kept():
    kinds = {
        **dict.fromkeys(("uid", "url", "caption"), pa.string()),
        "WIDTH": pa.int32(),
        "Shard": pa.string(),
        "similarity": pa.float64(),
        "tags": pa.list_(pa.string()),
        "taken": pa.timestamp("s"),
    }
    assert own_columns(pa.schema(list(kinds.items()))) == {
        "WIDTH": ("source_width", pa.int32()),
        "Shard": ("source_shard", pa.string()),
        "similarity": ("similarity", pa.float64()),
        "tags": ("tags", pa.list_(pa.string())),
        "taken": ("taken", pa.string()),
    }


def test_the_table_is_parts_with_records(pool):
    manifest = read_json(pool / "manifest.json")
    assert [file["rows"] for file in manifest["files"]] == [SHARD] * 5
    assert parquet.read_table(pool / "000002.parquet").num_rows == SHARD
