"""Samples of a shard are the same by its index as by all headers; a shard that is laid out otherwise is read whole."""

import tarfile

import pyarrow as pa
import pytest

from filter_tables import draw_image, facts_of, rows_of
from testbed.records.files import add_member
from testbed.records.manifest import record
from testbed.shards import listing
from testbed.shards.index import index_path, make_index, write_index
from testbed.shards.listing import list_shard
from testbed.shards.samples import SampleError, own_columns
from testbed.shards.shard_writer import write_samples

CAPTIONS = ["", "a dog", "Ein süßes Bild \U0001f415", "x" * 511, "x" * 512, "x" * 5000]


@pytest.fixture
def shard(tmp_path):
    """A shard as the workflow writes it, its record, and the list's own columns."""
    rows = rows_of(CAPTIONS)
    images = [draw_image(number, 8 + 30 * number) for number in range(len(rows))]
    contents = [row | facts_of(number, images[number]) for number, row in enumerate(rows)]
    entry = write_samples(tmp_path / "000000.tar", zip(images, contents, strict=True))
    return tmp_path / "000000.tar", entry, own_columns(pa.Table.from_pylist(rows).schema)


def by_headers(shard, monkeypatch):
    path, entry, own = shard
    with monkeypatch.context() as patched:
        patched.setattr(listing, "_by_index", lambda *_: None)
        return list_shard(path.parent, entry, own)


def test_samples_are_the_same_by_the_index_as_by_all_headers(shard, monkeypatch):
    path, entry, own = shard
    with monkeypatch.context() as patched:
        patched.setattr(listing, "_by_headers", lambda *_: pytest.fail("the headers were read"))
        table = list_shard(path.parent, entry, own)
    assert table.equals(by_headers(shard, monkeypatch))
    assert table["caption"].to_pylist() == CAPTIONS


@pytest.mark.parametrize("damage", ["missing", "cut", "of another shard"])
def test_a_shard_without_its_index_is_read_whole(shard, monkeypatch, damage):
    path, entry, own = shard
    expected = by_headers(shard, monkeypatch)
    index = index_path(path)
    if damage == "missing":
        index.unlink()
    elif damage == "cut":
        index.write_bytes(index.read_bytes()[:-5])
    else:
        moved = make_index(path)
        moved["image_bytes"] += 600
        write_index(index, moved)
    assert list_shard(path.parent, entry, own).equals(expected)


def test_a_shard_in_another_order_is_read_whole(shard):
    """As webdataset writes them: the caption before the metadata."""
    path, entry, own = shard
    before = list_shard(path.parent, entry, own)
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for uid in before["uid"].to_pylist():
            for suffix in ("jpg", "txt", "json"):
                add_member(archive, f"{uid}.{suffix}", files[f"{uid}.{suffix}"])
    write_index(index_path(path), make_index(path))
    again = list_shard(path.parent, entry | record(path), own)
    assert again["uid"].equals(before["uid"]) and again["offset"].equals(before["offset"])


def test_metadata_that_are_no_json_are_an_error(shard):
    path, entry, own = shard
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"caption"', b'{"caption\n', 1))
    with pytest.raises(SampleError, match="cannot be read"):
        list_shard(path.parent, entry, own)
