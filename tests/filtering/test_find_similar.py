"""Near-duplicates by embeddings: what all pairs give, in any tiling; what the filters keep."""

import numpy as np
import pytest
from test_measure_similarity import SAMPLES, SHARD, uids_of, unit, write_parts

from filter_tables import table_of, write_pool
from find_similar import find_similar
from select_samples import Given, select_samples
from testbed.filtering import similar
from testbed.filtering.embeddings import embedding_table, embeddings_of
from testbed.filtering.near_duplicates import KEPT
from testbed.filtering.similar import BySimilarity
from testbed.records.manifest import read_json, write_json

LEAST = 0.9


def clustered(rows: int, seed: int) -> np.ndarray:
    """Embeddings of which many are near each other: drawn around a few centres, at several distances."""
    rng = np.random.default_rng(seed)
    centres, spread = unit(6, seed + 1)[rng.integers(6, size=rows)], rng.choice([0.0, 0.05, 0.12, 0.3], size=(rows, 1))
    drawn = centres + spread * rng.normal(size=centres.shape)
    stored = embeddings_of(embedding_table([""] * rows, drawn / np.linalg.norm(drawn, axis=1, keepdims=True)))
    return stored.astype(np.float16)


def greedy(images: np.ndarray) -> list[int]:
    """For each image the first kept one before it that it is near, one after the other."""
    unit_images = images.astype(np.float32)
    unit_images /= np.linalg.norm(unit_images, axis=1, keepdims=True)
    near, kept = [], []
    for row, image in enumerate(unit_images):
        first = next((one for one in kept if unit_images[one] @ image >= LEAST), KEPT)
        near.append(first)
        kept += [row] if first == KEPT else []
    return near


@pytest.mark.parametrize("tile", [7, 8192])
def test_the_first_of_each_group_is_kept_in_any_tiling(monkeypatch, tile):
    images = clustered(200, 5)
    monkeypatch.setattr(similar, "TILE", tile)
    near, similarity = BySimilarity(LEAST).before(images)
    assert near.tolist() == greedy(images)
    dropped = near != KEPT
    assert 50 < dropped.sum() < 190
    values = np.einsum("ij,ij->i", images[dropped].astype(float), images[near[dropped]].astype(float))
    assert np.abs(similarity[dropped] - values).max() < 2e-3
    assert (similarity[~dropped] == 0).all()


@pytest.mark.parametrize("tile", [7, 8192])
def test_all_pairs_with_test_images_are_found(monkeypatch, tile):
    first, second = clustered(150, 5), clustered(40, 6)
    second[::2] = first[: 2 * len(second[::2]) : 2]
    monkeypatch.setattr(similar, "TILE", tile)
    found = BySimilarity(LEAST).between(first, second)
    product = BySimilarity(LEAST).tile(first) @ BySimilarity(LEAST).tile(second).T
    wanted = np.argwhere(product.numpy() >= LEAST)
    assert len(wanted) > 40
    assert np.stack([found.first, found.second], axis=1).tolist() == wanted.tolist()
    assert len(BySimilarity(LEAST).between(first, second[:0]).first) == 0


@pytest.fixture
def pool(tmp_path):
    """A pool whose samples 12 and 40 are near sample 3, and sample 25 is near the second test image."""
    samples, own = write_pool(tmp_path, [f"caption {number}" for number in range(SAMPLES)], SHARD), unit(SAMPLES, 0)
    own[[12, 40]] = own[3]
    tests = unit(4, 9)
    own[25] = tests[1]
    uids = uids_of(samples)
    tables = [
        embedding_table(uids[start : start + SHARD], own[start : start + SHARD]) for start in range(0, SAMPLES, SHARD)
    ]
    testset = write_parts(tmp_path / "photos", [embedding_table(list("abcd"), tests)])
    write_json(testset / "manifest.json", read_json(testset / "manifest.json") | {"images": 4})
    return samples, write_parts(tmp_path / "embeddings", tables), {"photos": testset}, uids


def kept_uids(samples, folder, rules: dict) -> list[str]:
    folder.mkdir()
    select_samples(samples, rules, folder, given=Given(duplicates=folder.parent / "found"))
    return table_of(folder)["uid"].to_pylist()


@pytest.mark.parametrize(("method", "batch"), [("deduplicate", 1), ("deduplicate", 500_000), ("decontaminate", 1)])
def test_a_filter_drops_what_is_near(pool, tmp_path, method, batch, monkeypatch):
    monkeypatch.setattr(BySimilarity, "batch", batch)
    samples, embeddings, testsets, uids = pool
    found = tmp_path / "found"
    found.mkdir()
    manifest = find_similar(samples, embeddings, found, 0.99, testsets if method == "decontaminate" else None)
    write_json(found / "manifest.json", manifest)
    table, dropped = table_of(found), [12, 40] if method == "deduplicate" else [25]
    assert table["uid"].to_pylist() == [uids[row] for row in dropped]
    assert table["similarity"].to_pylist() == pytest.approx([1.0] * len(dropped), abs=1e-3)
    assert (manifest["similarity"], manifest["near_duplicates"], manifest["samples"]) == (0.99, len(dropped), SAMPLES)
    if method == "decontaminate":
        assert (table["testset"].to_pylist(), table["key"].to_pylist()) == (["photos"], ["b"])
        assert manifest["testsets"] == {"photos": {"images": 4, "near_images": 1, "near_samples": 1}}
    else:
        assert table["duplicate_of"].to_pylist() == [uids[3], uids[3]]
    kept = kept_uids(samples, tmp_path / "kept", {"method": method})
    assert kept == [uid for row, uid in enumerate(uids) if row not in dropped]
