"""Parts of which a filter keeps nothing stay as empty parts, and every method takes them."""

from balance_samples import balance_samples
from filter_tables import table_of, write_matches, write_pool
from reshard_samples import reshard_samples
from select_samples import select_samples
from testbed.records.manifest import write_json


def test_every_method_takes_a_part_without_samples(tmp_path):
    pool = write_pool(tmp_path, [f"a dog number {number}" for number in range(30)])
    first, second, third, shards = (tmp_path / name for name in ("first", "second", "third", "out"))
    for folder in (first, second, third, shards):
        folder.mkdir()
    # The middle part of three.
    write_json(
        first / "manifest.json",
        select_samples(pool, {"method": "sql", "where": "likes NOT BETWEEN 100 AND 190"}, first),
    )
    rules = {"method": "basic", "minimum_words": 2, "maximum_aspect_ratio": 9}
    write_json(second / "manifest.json", select_samples(first, rules, second))
    _, matches, counts = write_matches(tmp_path, second, ["dog", "number 7"])
    manifest = balance_samples(second, matches, counts, third, tmp_path / "table.csv", 0, t=1000)
    write_json(third / "manifest.json", manifest)
    assert [file["rows"] for file in manifest["files"]] == [10, 0, 10]
    assert reshard_samples(third, tmp_path / "shards", shards, 15, 20)["samples"] == 20
    assert table_of(third)["likes"].to_pylist() == [*range(0, 100, 10), *range(200, 300, 10)]
