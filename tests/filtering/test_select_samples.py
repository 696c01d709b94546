"""What filters by score, by SQL and by simple rules keep: what their rules say, in the pool's order, part by part."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from filter_tables import table_of, write_pool
from select_samples import SelectionError, fraction_threshold, select_samples
from testbed.filtering.selection import count_words, keep_basic, known_languages
from testbed.records.manifest import read_json, record, write_json
from testbed.records.parts import parts_of

CAPTIONS = [f"caption number {number}" for number in range(24)]
SCORES = np.round(np.sin(np.arange(24) * 1.7), 3).astype(np.float32)
CLASSES = [("cat", "dog", "car")[number % 3] for number in range(24)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Samples in four parts. Tests leave them as they are."""
    return write_pool(tmp_path_factory.mktemp("pool"), CAPTIONS, 7)


@pytest.fixture(scope="module")
def scores(pool, tmp_path_factory):
    """Scores of them, as score_pairs leaves them."""
    folder, start, files = tmp_path_factory.mktemp("scores"), 0, []
    for name, file in parts_of(pool).items():
        stop = start + file["rows"]
        columns = {"clip_score": SCORES[start:stop], "reference_class": CLASSES[start:stop]}
        parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
        files.append(record(folder / f"{name}.parquet", rows=file["rows"]))
        start = stop
    write_json(folder / "manifest.json", {"files": files})
    return folder


def selected(samples, folder, scores=None, **rules) -> tuple[dict, pa.Table]:
    folder.mkdir(exist_ok=True)
    manifest = select_samples(samples, {"from": "mine", "sizes": [1], **rules}, folder, scores)
    write_json(folder / "manifest.json", manifest)
    return manifest, table_of(folder)


def numbers(table: pa.Table) -> list[int]:
    return [int(caption.split()[-1]) for caption in table["caption"].to_pylist()]


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.3, float(SCORES.max())])
def test_a_threshold_keeps_what_reaches_it(pool, scores, tmp_path, threshold):
    _, kept = selected(pool, tmp_path / "kept", scores, method="clip_score", threshold=threshold)
    assert numbers(kept) == [place for place, score in enumerate(SCORES) if score >= np.float32(threshold)]
    assert kept["clip_score"].to_pylist() == SCORES[numbers(kept)].tolist()


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.5, 1.0])
def test_a_fraction_keeps_the_best(pool, scores, tmp_path, fraction):
    manifest, kept = selected(pool, tmp_path / "kept", scores, method="clip_score", fraction=fraction)
    order = sorted(range(24), key=lambda place: -SCORES[place])
    assert numbers(kept) == sorted(order[: max(1, round(24 * fraction))])
    assert manifest["threshold"] == SCORES[numbers(kept)].min()
    assert sum(manifest["histogram"]) == manifest["samples"] == len(kept)


def test_a_fraction_of_each_class_is_kept(pool, scores, tmp_path):
    manifest, kept = selected(pool, tmp_path / "kept", scores, method="clip_score", fraction=0.25, per_class=True)
    for name in ("cat", "dog", "car"):
        own = sorted((place for place in range(24) if CLASSES[place] == name), key=lambda place: -SCORES[place])
        assert sorted(own[:2]) == [place for place in numbers(kept) if CLASSES[place] == name]
        assert manifest["threshold"][name] == SCORES[own[1]]
    assert kept["reference_class"].to_pylist() == [CLASSES[place] for place in numbers(kept)]


def test_scores_that_equal_the_last_are_kept():
    scores = np.array([0.1, 0.3, 0.3, 0.2], np.float32)
    assert (scores >= fraction_threshold(scores, 0.25)).tolist() == [False, True, True, False]


def test_sql_asks_for_the_lists_own_columns_and_for_those_of_filters_before(pool, scores, tmp_path):
    manifest, first = selected(pool, tmp_path / "first", scores, method="clip_score", threshold=0.0)
    where = "clip_score > 0.5 AND likes % 20 = 0"
    second_manifest, second = selected(tmp_path / "first", tmp_path / "second", method="sql", where=where)
    wanted = [place for place in numbers(first) if SCORES[place] > 0.5 and place % 2 == 0]
    assert numbers(second) == wanted
    assert (manifest["from"], second_manifest["from"]) == ("mine", "first")
    assert (second_manifest["of"], second_manifest["samples"]) == (len(first), len(wanted))


def test_sql_sees_the_images_own_size_and_the_lists_under_another_name(pool, tmp_path):
    """The list of the tests has a column "width", which the fact took the place of."""
    _, kept = selected(pool, tmp_path / "kept", method="sql", where="original_width >= 110 AND width = 8")
    assert numbers(kept) == list(range(10, 24))


def test_a_filter_that_keeps_nothing_is_an_error(pool, tmp_path):
    with pytest.raises(SelectionError, match="filter kept: keeps none of the 24 samples of mine.*where: likes < 0"):
        selected(pool, tmp_path / "kept", method="sql", where="likes < 0")


def test_parts_are_kept_where_they_are_whole_and_made_where_the_rule_changed(pool, tmp_path):
    selected(pool, tmp_path / "kept", method="sql", where="likes > 50")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*.parquet")}
    selected(pool, tmp_path / "kept", method="sql", where="likes > 50")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*.parquet")} == times
    _, kept = selected(pool, tmp_path / "kept", method="sql", where="likes > 60")
    assert numbers(kept) == list(range(7, 24))


def basic(captions: list[str | None], sides: list[tuple] | None = None, **rules) -> list[bool]:
    sides = sides or [(100, 100)] * len(captions)
    width, height = (pa.array(values, pa.int64()) for values in zip(*sides, strict=True))
    table = pa.table({"caption": captions, "original_width": width, "original_height": height})
    return keep_basic(table, rules, lambda text: "en" if text.isascii() else "de").tolist()


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({"minimum_words": 2}, [True, False, True, False, True]),
        ({"maximum_words": 2}, [False, True, True, True, False]),
        ({"minimum_characters": 5}, [True, False, True, False, True]),
        ({"maximum_characters": 4}, [False, True, False, True, False]),
        ({"language": "de"}, [False, False, False, False, True]),
        ({"language": "en", "minimum_words": 2}, [True, False, True, False, False]),
    ],
)
def test_captions_are_measured_as_people_count(rules, kept):
    assert basic(["a photo of two", "mug", " tea  pot ", "  ", "ein Gemälde: Öl"], **rules) == kept


def test_images_are_measured_as_they_were_fetched():
    sides = [(200, 600), (600, 199), (200, 601), (400, 400), (None, 300)]
    assert basic(["x"] * 5, sides, minimum_side=200) == [True, False, True, True, False]
    assert basic(["x"] * 5, sides, maximum_aspect_ratio=3) == [True, False, False, True, False]


def test_words_are_those_of_str_split():
    texts = ["", " ", "a", " a  b\u00a0c ", "ä-ö ü", "\u3000x"]
    assert count_words(pa.chunked_array([texts])).to_pylist() == [len(text.split()) for text in texts]


def test_languages_are_named_by_py3langid(pool, tmp_path):
    captions = ["a dog is sleeping in the garden of my neighbour", "ein Hund schläft im Garten meines Nachbarn"]
    samples = write_pool(tmp_path, captions)
    _, kept = selected(samples, tmp_path / "kept", method="basic", language="de")
    assert kept["caption"].to_pylist() == captions[1:]
    assert {"en", "de", "fr"} <= known_languages()


def test_every_part_is_in_order_and_recorded(pool, tmp_path):
    manifest, kept = selected(pool, tmp_path / "kept", method="basic", minimum_side=105)
    assert numbers(kept) == list(range(5, 24))
    assert [file["rows"] for file in manifest["files"]] == [2, 7, 7, 3]
    assert read_json(tmp_path / "kept" / "000000.json")["file"] == manifest["files"][0]


@pytest.mark.parametrize(("fraction", "lowest"), [(0.26, 7), (0.24, 8), (0.01, 9), (1, 0)])
def test_the_best_fraction_is_rounded_to_whole_samples(fraction, lowest):
    assert fraction_threshold(np.arange(10.0), fraction) == lowest


def test_random_samples_are_a_share_that_only_seed_and_pool_decide(tmp_path):
    captions = [f"caption number {number}" for number in range(2000)]
    pool, other = (write_pool(tmp_path / name, captions, size) for name, size in (("parts", 300), ("whole", 2000)))

    def drawn(samples, fraction, seed=0):
        folder = tmp_path / f"kept-{samples.parent.name}-{fraction}-{seed}"
        return numbers(selected(samples, folder, method="random", fraction=fraction, seed=seed)[1])

    kept = {fraction: drawn(pool, fraction) for fraction in (0.1, 0.5, 1.0)}
    # Five standard deviations of a binomial number.
    for fraction, found in kept.items():
        assert abs(len(found) - 2000 * fraction) <= 5 * (2000 * fraction * (1 - fraction)) ** 0.5
    assert set(kept[0.1]) < set(kept[0.5]) < set(kept[1.0])
    assert kept[0.5] == sorted(kept[0.5]) == drawn(other, 0.5)
    assert abs(len(set(kept[0.5]) & set(drawn(pool, 0.5, seed=1))) - 500) <= 5 * (2000 * 0.25 * 0.75) ** 0.5
