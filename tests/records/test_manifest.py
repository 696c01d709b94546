"""Records of files: they tell whole files from others, and are themselves never half written."""

import json
import sys
import time

import pytest

from processes import started
from testbed.records.files import sha256
from testbed.records.manifest import ManifestError, digest, problem, read_json, record, write_json

REWRITES = """
import sys
from testbed.records.manifest import write_json
for number in range(10**9):
    write_json(sys.argv[1], {"number": number, "filling": [number] * 2000})
"""


def test_what_is_written_is_read(tmp_path):
    content = {"caption": "Zürich – 東京", "counts": {"b": 1, "a": 2}}
    write_json(tmp_path / "new" / "folder" / "manifest.json", content)
    assert read_json(tmp_path / "new" / "folder" / "manifest.json") == content
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("pause", [0.0, 0.003, 0.01, 0.03, 0.1])
def test_a_killed_writer_leaves_a_whole_file(tmp_path, scripts_environment, pause):
    path = tmp_path / "manifest.json"
    with started(sys.executable, "-c", REWRITES, path, environment=scripts_environment):
        while not path.exists():
            time.sleep(0.001)
        time.sleep(pause)
        # A reader meanwhile never sees a torn file either.
        seen = [read_json(path)["number"] for _ in range(20)]
    content = read_json(path)
    assert content["filling"] == [content["number"]] * 2000
    assert [*seen, content["number"]] == sorted([*seen, content["number"]])


@pytest.mark.parametrize("length", [0, 1, 10, -3])
def test_a_cut_record_is_refused(tmp_path, length):
    path = tmp_path / "manifest.json"
    write_json(path, {"files": [], "rows": 3})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ManifestError, match=f"{path}: is not JSON .*; delete it and run"):
        read_json(path)


@pytest.mark.parametrize("content", [bytes(100), b"\xff\xfe{}"])
def test_a_record_of_other_bytes_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match="is not JSON"):
        read_json(tmp_path / "manifest.json")


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(ManifestError, match=f"{tmp_path}/manifest.json: is missing; run the rule"):
        read_json(tmp_path / "manifest.json")


def test_a_record_holds_name_size_hash_and_facts(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert record(tmp_path / "a.txt", rows=1) == {"name": "a.txt", "bytes": 3, "sha256": known, "rows": 1}
    assert sha256(tmp_path / "a.txt") == known


def test_problems_are_told_apart(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    entry = record(path)
    assert problem(tmp_path, entry) is None
    path.write_bytes(b"abd")
    assert problem(tmp_path, entry, content=False) is None
    assert "SHA-256 is not the recorded ba7816bf8f01" in problem(tmp_path, entry)
    path.write_bytes(b"abcd")
    assert problem(tmp_path, entry, content=False) == f"{path}: has 4 bytes, its record says 3"
    path.unlink()
    assert problem(tmp_path, entry) == f"{path}: is missing"
    path.mkdir()
    assert problem(tmp_path, entry) == f"{path}: is missing"


def test_equal_content_has_an_equal_digest():
    assert digest({"a": 1, "b": ["ü"]}) == digest(json.loads('{"b": ["ü"], "a": 1}'))
    assert digest(["ab"]) != digest(["a", "b"])
    assert digest([1]) != digest(["1"])
