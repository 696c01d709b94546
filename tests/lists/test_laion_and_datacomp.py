"""LAION's lists by the column names of each release, and DataComp's with its scores and hashes."""

import hashlib

import pyarrow as pa
import pytest
from pyarrow import parquet

from example_lists import URL, pairs_of, prepare
from testbed.lists.pairs import ListError, uid
from testbed.lists.released import check_list

LAION_2B = {
    "SAMPLE_ID": [2**60],
    "URL": [URL],
    "TEXT": ["a cat"],
    "HEIGHT": [480],
    "WIDTH": [640],
    "LICENSE": ["?"],
    "NSFW": ["UNLIKELY"],
    "similarity": [0.31],
}
LAION_AESTHETIC = {
    "URL": ["http://a.test/2"],
    "TEXT": ["a dog"],
    "WIDTH": [640.0],
    "HEIGHT": [480.0],
    "similarity": [0.33],
    "hash": [-(2**62)],
    "punsafe": [0.9],
    "pwatermark": [0.1],
    "AESTHETIC_SCORE": [6.5],
}
RE_LAION = {
    "url": ["http://a.test/3"],
    "caption": ["a bird"],
    "similarity": [0.35],
    "hash": [7],
    "punsafe": [0.0001],
    "pwatermark": [0.2],
    "key": ["000000001"],
    "status": ["success"],
    "error_message": pa.nulls(1),
    "width": pa.array([256], pa.int32()),
    "height": pa.array([256], pa.int32()),
    "exif": ["{}"],
}


def test_laion_has_the_column_names_of_all_its_releases(tmp_path):
    for number, columns in enumerate((LAION_2B, LAION_AESTHETIC, RE_LAION)):
        path = tmp_path / "list" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        parquet.write_table(pa.table(columns), path)
        check_list(path, "laion")
    rows, dropped = prepare(tmp_path / "list", "laion")
    pairs = [(URL, "a cat"), ("http://a.test/2", "a dog"), ("http://a.test/3", "a bird")]
    assert pairs_of(rows) == pairs and not dropped
    assert [row["uid"] for row in rows] == [uid(*pair) for pair in pairs]
    assert [(row["WIDTH"], row["source_width"], row["punsafe"], row["NSFW"]) for row in rows] == [
        (640.0, None, None, "UNLIKELY"),
        (640.0, None, 0.9, None),
        (None, 256, 0.0001, None),
    ]
    assert rows[0]["SAMPLE_ID"] == 2**60 and rows[1]["hash"] == -(2**62)


def test_laion_needs_a_column_that_says_what_is_safe(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"url": [URL], "caption": ["a cat"]}), path)
    with pytest.raises(ListError, match="has no column NSFW; it has 'url', 'caption'"):
        prepare(path, "laion")


def datacomp(tmp_path, **columns):
    table = {
        "uid": ["00000000000000000000000000000001"],
        "url": [URL],
        "text": ["a cat"],
        "original_width": [640],
        "original_height": [480],
        "clip_b32_similarity_score": pa.array([0.25], pa.float32()),
        "clip_l14_similarity_score": pa.array([0.21875], pa.float32()),
        "face_bboxes": [[[0.1, 0.2, 0.3, 0.4]]],
        "sha256": [hashlib.sha256(b"image").hexdigest()],
    } | columns
    path = tmp_path / "list" / "00000.parquet"
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pa.table(table), path)
    return path


def test_datacomp_keeps_its_scores_and_has_hashes(tmp_path):
    rows, dropped = prepare(datacomp(tmp_path), "datacomp")
    assert not dropped and rows[0] == {
        "uid": uid(URL, "a cat"),
        "url": URL,
        "caption": "a cat",
        "source_uid": "00000000000000000000000000000001",
        "original_width": 640,
        "original_height": 480,
        "clip_b32_similarity_score": 0.25,
        "clip_l14_similarity_score": 0.21875,
        "face_bboxes": [[0.1, 0.2, 0.3, 0.4]],
        "expected_sha256": hashlib.sha256(b"image").hexdigest(),
    }
