"""The writer of shards writes tarfile's bytes, and its index is the one that the shard's headers give."""

import io
import json
import tarfile

import numpy as np

from testbed.records.files import add_member
from testbed.shards.index import make_index, read_index
from testbed.shards.shard_writer import TarWriter, write_samples

CONTENTS = [b"", b"x", bytes(511), bytes(512), bytes(range(256)) * 40, "ß".encode() * 3000]


def test_the_bytes_are_those_of_tarfile():
    for count in (0, 1, 6, 60):
        ours, theirs = io.BytesIO(), io.BytesIO()
        writer = TarWriter(ours)
        with tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(count):
                name, content = f"{number:032x}.json", CONTENTS[number % len(CONTENTS)]
                start = writer.add(name, content)
                assert ours.getvalue()[start : start + len(content)] == content
                add_member(archive, name, content)
        writer.close()
        assert ours.getvalue() == theirs.getvalue()


def test_the_index_is_that_of_the_headers(tmp_path):
    rows = [{"uid": f"{number:032x}", "caption": "süß" * number, "n": number} for number in range(1, 9)]
    entry = write_samples(tmp_path / "000000.tar", [(bytes(700 * row["n"]), row) for row in rows])
    assert (entry["samples"], entry["first_uid"], entry["last_uid"]) == (8, rows[0]["uid"], rows[-1]["uid"])
    index = read_index(tmp_path / "000000.tar", 8)
    assert (tmp_path / "000000.npy").is_file() and np.array_equal(index, make_index(tmp_path / "000000.tar"))
    content = (tmp_path / "000000.tar").read_bytes()
    for row, place in zip(rows, index, strict=True):
        start = place["caption"]
        assert content[start : start + place["caption_bytes"]].decode() == row["caption"]
    with tarfile.open(tmp_path / "000000.tar") as archive:
        assert json.load(archive.extractfile(f"{rows[2]['uid']}.json")) == rows[2]
