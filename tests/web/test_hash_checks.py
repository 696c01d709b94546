"""Images are compared with the hashes of their list: what differs ends as changed, and is not stored."""

import hashlib
import tarfile

import pyarrow as pa
import pytest
from pyarrow import parquet

import mini_parts
from example_downloads import PATIENT
from hostile import image
from testbed.records.manifest import read_json, write_json

KINDS = ["ok", "ok", "png", "missing", "png", "ok"]


def part_with_hashes(tmp_path, hostile, kind, wrong=(), without=()):
    """A part on the hostile server with the hash of each image; the rows in `wrong` have that of another image."""
    urls = [hostile.url(behaviour, number) for number, behaviour in enumerate(KINDS)]
    rows = mini_parts.make_rows(urls)
    for number, row in enumerate(rows):
        body = b"other" if number in wrong else image(KINDS[number])
        row[f"expected_{kind}"] = None if number in without else hashlib.new(kind, body).hexdigest()
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "part.parquet")
    return {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": [], "options": PATIENT}


def outcomes_of(folder):
    return [row["cause"] for row in parquet.read_table(folder / "00000.parquet").to_pylist()]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_images_with_another_hash_are_left_out(fetch, hostile, tmp_path, kind):
    request = part_with_hashes(tmp_path, hostile, kind, wrong={1, 3, 4, 5}, without={5})
    answer = fetch(**request)
    assert outcomes_of(request["folder"]) == ["success", "changed", "success", "http 404", "changed", "success"]
    assert answer["manifest"]["causes"] == {"changed": 2, "http 404": 1, "success": 3}
    with tarfile.open(request["folder"] / "00000.tar") as tar:
        assert len(tar.getnames()) == 3
    assert fetch(**request)["manifest"] == answer["manifest"]


def test_the_check_can_be_switched_off(fetch, hostile, tmp_path):
    request = part_with_hashes(tmp_path, hostile, "sha256", wrong=range(6))
    fetch(**request)
    assert set(outcomes_of(request["folder"])) == {"changed", "http 404"}
    # Another setting fetches again, because the images that were left out are not there.
    off = request | {"options": PATIENT | {"verify_hashes": False}}
    assert fetch(**off)["manifest"]["causes"] == {"http 404": 1, "success": 5}
    visits = dict(hostile.visits)
    fetch(**off)
    assert hostile.visits == visits
    assert fetch(**request)["manifest"]["causes"] == {"changed": 5, "http 404": 1}


def test_the_check_is_not_changed_once_images_are_in_shards(fetch, hostile, tmp_path):
    request = part_with_hashes(tmp_path, hostile, "sha256")
    fetch(**request)
    record = tmp_path / "00000" / "00000.json"
    write_json(record, read_json(record) | {"sharded": True})
    answer = fetch(**request | {"options": PATIENT | {"verify_hashes": False}})
    assert "is already in shards" in answer["error"] and "verify_hashes" in answer["error"]


def test_too_many_changed_images_are_an_error_that_names_the_cause(fetch, hostile, tmp_path):
    request = part_with_hashes(tmp_path, hostile, "sha256", wrong=range(6))
    options = PATIENT | {"minimum_success": 0.5, "chunk_size": 6}
    answer = fetch(**request | {"options": options})
    assert (
        "only 0.0% of 6 URLs gave an image" in answer["error"]
        and "Causes: changed (5), http 404 (1)" in answer["error"]
    )


def test_changed_images_can_be_tried_once_more(fetch, hostile, tmp_path):
    request = part_with_hashes(tmp_path, hostile, "sha256", wrong={0, 1})
    assert fetch(**request)["manifest"]["causes"]["changed"] == 2
    visits = dict(hostile.visits)
    again = request | {"options": PATIENT | {"retry_failed": ["changed"]}}
    assert fetch(**again)["manifest"]["causes"] == {"changed": 2, "http 404": 1, "success": 3}
    assert {path for path in hostile.visits if hostile.visits[path] != visits[path]} == {"/ok/0", "/ok/1"}
