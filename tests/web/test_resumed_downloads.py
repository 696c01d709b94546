"""Downloads that go on: what is there is kept, and what is new, damaged or asked for otherwise alone is fetched."""

import pytest
from pyarrow import parquet

import mini_parts
from example_downloads import HOSTILE, OPTIONS, PAGES, URLS, urls_of, write_part
from mini_parts import draw_page
from testbed.records.manifest import problem, read_json, write_json


def test_what_is_complete_is_not_fetched_again(fetch, fetched):
    request, answer = fetched
    again = fetch(**request)
    assert again["visits"] == {}
    assert again["manifest"] == answer["manifest"]


@pytest.mark.parametrize("damage", ["no record", "torn record", "cut tar", "cut outcomes", "no tar"])
def test_a_damaged_chunk_alone_is_fetched_again(fetch, fetched, copied, damage):
    folder = copied["folder"]
    name = {"no record": "json", "torn record": "json", "cut outcomes": "parquet"}.get(damage, "tar")
    path = folder / f"00001.{name}"
    if damage.startswith("no"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("0000[02].*")}
    answer = fetch(**copied)
    assert set(answer["visits"]) == urls_of(1)
    assert answer["manifest"]["causes"] == fetched[1]["manifest"]["causes"]
    assert [problem(folder, file) for file in answer["manifest"]["files"]] == [None] * 6
    assert times == {path.name: path.stat().st_mtime_ns for path in folder.glob("0000[02].*")}


def test_a_longer_part_keeps_the_chunks_before(fetch, copied, tmp_path):
    more = [*PAGES, *(draw_page(number) for number in range(60, 65))]
    write_part(tmp_path / "longer.parquet", more)
    answer = fetch(**copied | {"part": tmp_path / "longer.parquet", "pages": more})
    assert set(answer["visits"]) == {page["url"] for page in more[60:]}
    assert answer["manifest"]["rows"] == 65


def test_a_longer_list_adds_to_the_last_chunk(fetch, hostile, tmp_path):
    """Rows behind those of a short last chunk are fetched alone, also when its images are in shards."""
    kinds = ["ok", "missing", "png", "ok", "missing"]
    urls = [hostile.url(kind, number) for number, kind in enumerate(kinds)]
    mini_parts.write_part(tmp_path / "part.parquet", urls[:3])
    request = {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": [], "options": HOSTILE}
    assert fetch(**request)["manifest"]["causes"] == {"http 404": 1, "success": 2}
    record = tmp_path / "00000" / "00000.json"
    write_json(record, read_json(record) | {"sharded": True})
    (tmp_path / "00000" / "00000.tar").unlink()
    visits = dict(hostile.visits)

    mini_parts.write_part(tmp_path / "part.parquet", urls)
    assert fetch(**request)["manifest"]["causes"] == {"http 404": 2, "success": 3}
    assert {path for path in hostile.visits if hostile.visits[path] != visits.get(path, 0)} == {"/ok/3", "/missing/4"}
    outcomes = parquet.read_table(tmp_path / "00000" / "00000-1.parquet").to_pylist()
    assert [row["url"] for row in outcomes] == urls
    assert [row["tar"] for row in outcomes] == ["00000.tar", None, "00000.tar", "00000-1.tar", None]
    assert fetch(**request)["manifest"]["rows"] == 5


@pytest.mark.parametrize("chunk_size", [7, 50])
def test_a_part_keeps_the_chunks_that_it_was_begun_with(fetch, copied, chunk_size):
    (copied["folder"] / "00001.json").unlink()
    answer = fetch(**copied | {"options": OPTIONS | {"chunk_size": chunk_size}})
    assert answer["manifest"]["rows"] == 60 and set(answer["visits"]) == urls_of(1)
    assert len(list(copied["folder"].glob("0*.json"))) == 3


@pytest.mark.parametrize("option", ["image_size", "quality"])
def test_images_to_be_stored_otherwise_are_fetched_again(fetch, copied, option):
    answer = fetch(**copied | {"options": OPTIONS | {option: 32}})
    assert set(answer["visits"]) == set(URLS)


@pytest.mark.parametrize("option", ["threads", "timeout", "retries", "user_agent"])
def test_other_options_leave_what_is_there(fetch, copied, option):
    answer = fetch(**copied | {"options": OPTIONS | {option: "other" if option == "user_agent" else 1}})
    assert answer["visits"] == {}


def test_how_images_are_fetched_does_not_matter_to_those_that_are_there(fetch, copied):
    how = {"retries": 9, "timeout": 1, "threads": 3, "requests_per_second": 5, "user_agent": "another", "max_bytes": 10}
    assert fetch(**copied | {"options": OPTIONS | how | {"contact": "me@site.org"}})["visits"] == {}


def test_what_is_in_shards_is_not_fetched_again(fetch, copied, fetched):
    folder = copied["folder"]
    entry = read_json(folder / "00001.json")
    write_json(folder / "00001.json", entry | {"sharded": True})
    (folder / "00001.tar").unlink()
    answer = fetch(**copied)
    assert answer["visits"] == {}
    assert answer["manifest"] == fetched[1]["manifest"]


def test_images_in_shards_are_not_fetched_for_another_question(fetch, copied):
    folder = copied["folder"]
    for chunk in range(3):
        write_json(folder / f"0000{chunk}.json", read_json(folder / f"0000{chunk}.json") | {"sharded": True})
    answer = fetch(**copied | {"options": OPTIONS | {"image_size": 16}})
    assert "is already in shards" in answer["error"] and "download.image_size" in answer["error"]
    assert answer["visits"] == {}


@pytest.mark.parametrize("rows", [40, 30])
def test_a_shorter_list_loses_no_chunk_that_is_in_shards(fetch, copied, tmp_path, rows):
    """Its outcomes say what is in the shards, so that they stay also when the list ends where a chunk does."""
    folder = copied["folder"]
    entry = read_json(folder / "00002.json")
    write_json(folder / "00002.json", entry | {"sharded": True})
    before = sorted(folder.iterdir())
    write_part(tmp_path / "shorter.parquet", PAGES[:rows])
    answer = fetch(**copied | {"part": tmp_path / "shorter.parquet", "pages": PAGES[:rows]})
    assert "chunk 00002 is already in shards" in answer["error"] and "Set samples of the source" in answer["error"]
    assert sorted(folder.iterdir()) == before and answer["visits"] == {}
    write_json(folder / "00002.json", entry)
    answer = fetch(**copied | {"part": tmp_path / "shorter.parquet", "pages": PAGES[:rows]})
    assert answer["manifest"]["rows"] == rows
