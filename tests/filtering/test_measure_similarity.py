"""The nearest training images of test images: exact, for every prefix, the same after a restart."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import measure_similarity as script
from filter_tables import write_pool
from measure_similarity import measure_similarity, runs_of
from testbed.filtering import embeddings as module
from testbed.filtering.embeddings import NEAREST_FILE, Nearest, embedding_table, embeddings_of
from testbed.records.manifest import read_json, record, write_json
from testbed.records.parts import PartError, read_parts

WIDTH, SAMPLES, SHARD = 16, 57, 10
TESTSETS = {"one": 23, "two": 9}


def unit(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, WIDTH))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def write_parts(folder, tables: list[pa.Table]):
    """A finished table with these parts."""
    folder.mkdir(parents=True)
    files = []
    for number, table in enumerate(tables):
        path = folder / f"{number:06d}.parquet"
        parquet.write_table(table, path)
        files.append(record(path, rows=len(table)))
    write_json(folder / "manifest.json", {"pool": "mine", "files": files})
    return folder


def uids_of(samples) -> list[str]:
    return [uid for table in read_parts(samples, ["uid"]) for uid in table["uid"].to_pylist()]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """The folders of a pool's samples and of their embeddings; the embeddings of test sets; all embeddings."""
    folder = tmp_path_factory.mktemp("pool")
    samples = write_pool(folder, [f"caption {number}" for number in range(SAMPLES)], SHARD)
    own, uids = unit(SAMPLES, 0), uids_of(samples)
    tables = [
        embedding_table(uids[start : start + SHARD], own[start : start + SHARD]) for start in range(0, SAMPLES, SHARD)
    ]
    embeddings = write_parts(folder / "embeddings", tables)
    images = {name: unit(count, 1 + place) for place, (name, count) in enumerate(TESTSETS.items())}
    testsets = {
        name: write_parts(folder / name, [embedding_table([f"{n:03d}" for n in range(len(rows))], rows)])
        for name, rows in images.items()
    }
    return samples, embeddings, testsets, own, np.concatenate(list(images.values()))


def measured(folder, samples, embeddings, testsets, sizes):
    folder.mkdir(exist_ok=True)
    manifest = measure_similarity(samples, embeddings, testsets, sizes, folder)
    write_json(folder / "manifest.json", manifest)
    return parquet.read_table(folder / NEAREST_FILE).to_pandas()


def brute_force(samples: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The similarity (M, N) of all pairs, of embeddings as they are stored."""
    stored = [embeddings_of(embedding_table([""] * len(one), one)).astype(np.float64) for one in (images, samples)]
    return stored[0] @ stored[1].T


def test_embeddings_come_back_as_unit_vectors_but_for_the_rounding_of_half_precision():
    own = unit(5, 7)
    back = embeddings_of(embedding_table(list("abcde"), own))
    assert np.abs(back - own).max() < 1e-3
    assert np.abs(np.linalg.norm(back, axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize("run", [7, 500_000])
def test_the_nearest_sample_is_found_for_every_prefix(pool, tmp_path, monkeypatch, run):
    samples, embeddings, testsets, own, images = pool
    monkeypatch.setattr(script, "RUN", run)
    monkeypatch.setattr(module, "SIMILARITIES", 5 * len(images))
    sizes = [3, 20, 41, SAMPLES]
    table = measured(tmp_path / "nearest", samples, embeddings, testsets, sizes)
    every, uids = brute_force(own, images), np.array(uids_of(samples))
    assert table["samples"].tolist() == [size for size in sizes for _ in range(len(images))]
    for size in sizes:
        found = table[table["samples"] == size]
        assert found["testset"].tolist() == ["one"] * 23 + ["two"] * 9
        assert np.abs(found["similarity"] - every[:, :size].max(axis=1)).max() < 1e-6
        assert found["uid"].tolist() == uids[every[:, :size].argmax(axis=1)].tolist()


def test_a_filter_has_some_of_the_samples_of_its_source(pool, tmp_path):
    samples, embeddings, testsets, own, images = pool
    kept = np.arange(0, SAMPLES, 3)
    tables = [
        table.take([n - SHARD * part for n in kept if n // SHARD == part])
        for part, table in enumerate(read_parts(samples))
    ]
    chosen = write_parts(tmp_path / "filter", tables)
    table = measured(tmp_path / "nearest", chosen, embeddings, testsets, [len(kept)])
    assert np.abs(table["similarity"] - brute_force(own[kept], images).max(axis=1)).max() < 1e-6


def test_the_first_of_equally_near_samples_stays(pool):
    image = unit(1, 3)
    nearest = Nearest(image)
    for names in ("ab", "cd"):
        nearest.add(embedding_table(list(names), np.repeat(image, 2, axis=0)))
    assert nearest.uid.tolist() == ["a"]
    assert nearest.similarity == pytest.approx(1, abs=1e-6)


def test_a_restart_keeps_the_parts_that_are_made(pool, tmp_path, monkeypatch):
    samples, embeddings, testsets, *_ = pool
    sizes, folder, made = [10, 30, SAMPLES], tmp_path / "nearest", []

    class Counted(Nearest):
        def __init__(self, *arguments):
            made.append(len(made))
            if len(made) == 3:
                raise KeyboardInterrupt
            super().__init__(*arguments)

    monkeypatch.setattr(script, "Nearest", Counted)
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        measured(folder, samples, embeddings, testsets, sizes)
    after = measured(folder, samples, embeddings, testsets, sizes)
    assert len(made) == 4
    monkeypatch.undo()
    assert after.equals(measured(tmp_path / "again", samples, embeddings, testsets, sizes))


def test_a_sample_without_an_embedding_is_an_error_that_names_the_table(pool, tmp_path):
    samples, embeddings, testsets, *_ = pool
    tables = list(read_parts(embeddings))
    other = write_parts(tmp_path / "embeddings", [tables[0].slice(1), *tables[1:]])
    with pytest.raises(PartError, match=r"000000.parquet: lacks 1 samples of .*samples"):
        measured(tmp_path / "nearest", samples, other, testsets, [SAMPLES])


def test_runs_end_at_the_sizes_and_are_bounded():
    assert runs_of([3, 700_000]) == [(0, 3), (3, 500_000), (500_000, 700_000)]


def test_the_manifest_records_what_was_compared(pool, tmp_path):
    samples, embeddings, testsets, *_ = pool
    measured(tmp_path / "nearest", samples, embeddings, testsets, [SAMPLES])
    manifest = read_json(tmp_path / "nearest" / "manifest.json")
    assert (manifest["testsets"], manifest["images"], manifest["sizes"]) == (["one", "two"], 32, [SAMPLES])
    assert [file["name"] for file in manifest["files"]] == ["000000.parquet", NEAREST_FILE]
