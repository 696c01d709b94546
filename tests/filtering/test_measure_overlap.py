"""Near-duplicates of test images in a source, and its repeats: counts, examples, and what a restart keeps."""

import io

import numpy as np
import pytest
from PIL import Image
from test_find_duplicates import COPIES, IN_TESTSET, images, written

import measure_overlap as script
from filter_tables import table_of, write_pool
from hash_images import hash_images
from hash_testset import hash_testset
from measure_overlap import HashedTestset, measure_overlap
from near_images import drawing, jpeg
from small_testsets import write_testset
from testbed.cards.images import look_at
from testbed.cards.overlap import COLUMNS, overlap_rows
from testbed.filtering import near_search
from testbed.records.manifest import problem, read_json
from testbed.records.parts import parts_of

NEAR = {5: 0, 22: 2, 3: 1, 12: 1, 17: 1, 25: 1}
"""Samples that are near images of the test set `photos`: 3 and 12 are like 17, of which it has the bytes, and 25 is 12."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What the script is given: samples, shards, hashes, and two test sets, one of which has nothing that is in the pool."""
    folder = tmp_path_factory.mktemp("source")
    samples = write_pool(folder, [f"caption {number}" for number in range(40)], 10, images())
    hashes = written(folder / "hashes", hash_images, samples, folder / "shards")
    files = [jpeg(drawing(number)) for number in range(200, 210)]
    for number, (image, change) in IN_TESTSET.items():
        files[image] = change(drawing(number)) if change else images()[number]
    testsets = {}
    for name, content in (("photos", files), ("others", [jpeg(drawing(number)) for number in range(300, 306)])):
        own = write_testset(folder / name, "retrieval", [(file, b"a\nb") for file in content])
        testsets[name] = HashedTestset(own, written(folder / "tested" / name, hash_testset, own))
    return samples, folder / "shards", hashes, testsets


def measured(given, folder) -> tuple:
    """The folder of what is measured, and its manifest."""
    folder = written(folder / "mine", lambda *every: measure_overlap(*every, 10), *given)
    return folder, read_json(folder / "manifest.json")


def numbers_of(given, uids) -> list[int]:
    everything = table_of(given[0])["uid"].to_pylist()
    return [everything.index(uid) for uid in uids]


def test_near_duplicates_and_repeats_are_counted(given, tmp_path):
    folder, manifest = measured(given, tmp_path)
    assert manifest["testsets"] == {
        "photos": {"images": 10, "flat": 0, "near_images": 3, "near_samples": len(NEAR)},
        "others": {"images": 6, "flat": 0, "near_images": 0, "near_samples": 0},
    }
    assert (manifest["source"], manifest["samples"], manifest["near_samples"]) == ("mine", 40, len(NEAR))
    assert manifest["within"] == {"samples": 40, "near_samples": len(COPIES)}
    assert [problem(folder, file) for file in manifest["files"]] == [None] * 9
    found = table_of(folder / "testsets")
    assert {*zip(numbers_of(given, found["uid"].to_pylist()), found["key"].to_pylist(), strict=True)} == {
        (number, f"s{image:04d}") for number, image in NEAR.items()
    }
    assert numbers_of(given, table_of(folder / "within")["uid"].to_pylist()) == list(COPIES)


def test_the_table_has_a_row_for_each_test_set_and_one_for_repeats(given, tmp_path):
    rows = overlap_rows([measured(given, tmp_path)[1]])
    assert [[row[name] for name in COLUMNS] for row in rows] == [
        ["mine", "photos", 10, 3, 6, 40, 10],
        ["mine", "others", 6, 0, 0, 40, 10],
        ["mine", None, None, None, 4, 40, 10],
    ]


def test_an_example_shows_the_sample_and_the_test_image(given, tmp_path):
    (example,) = table_of_examples(measured(given, tmp_path)[0])
    (number,) = numbers_of(given, [example["uid"]])
    assert example["uid"] == min(uid for uid in table_of(given[0])["uid"].to_pylist() if is_near(given, uid))
    assert (example["testset"], example["key"]) == ("photos", f"s{NEAR[number]:04d}")
    assert (example["caption"], example["flagged"]) == (f"caption {number}", False)
    assert example["thumbnail"] == look_at(images()[number], True).thumbnail
    pixels = [
        np.asarray(Image.open(io.BytesIO(example[name])).resize((32, 32)), float)
        for name in ("thumbnail", "test_thumbnail")
    ]
    assert np.abs(pixels[0] - pixels[1]).mean() < 0.5 * np.abs(pixels[0] - pixels[0][::-1]).mean()


def table_of_examples(folder) -> list[dict]:
    import pyarrow.parquet as parquet

    return parquet.read_table(folder / "examples.parquet").to_pylist()


def is_near(given, uid: str) -> bool:
    return numbers_of(given, [uid])[0] in NEAR


def test_only_the_first_samples_are_compared_with_each_other(given, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "COMPARED", 29)
    folder, manifest = measured(given, tmp_path)
    assert manifest["within"] == {"samples": 20, "near_samples": 2}
    assert numbers_of(given, table_of(folder / "within")["uid"].to_pylist()) == [12, 17]
    assert manifest["near_samples"] == len(NEAR)
    # The first part is compared whole.
    monkeypatch.setattr(script, "COMPARED", 3)
    assert measured(given, tmp_path / "other")[1]["within"] == {"samples": 10, "near_samples": 0}


def test_finished_parts_are_kept(given, tmp_path, monkeypatch):
    folder, manifest = measured(given, tmp_path)
    (folder / "within" / "000002.json").unlink()
    (folder / "testsets" / "000001.parquet").unlink()
    made = []
    for search in (near_search.Duplicates, near_search.Contamination):
        make = search.make
        monkeypatch.setattr(search, "make", lambda self, name, make=make: made.append(name) or make(self, name))
    assert measured(given, tmp_path)[1] == manifest
    assert made == ["000001", "000002"]
    assert list(parts_of(given[0])) == ["000000", "000001", "000002", "000003"]
