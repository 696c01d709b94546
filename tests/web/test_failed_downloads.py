"""Downloads that fail: errors that keep what came, and second passes over the URLs that failed."""

import json
import tarfile
import time

from pyarrow import parquet

from disks import small_disk
from download_images import failures_to_retry
from example_downloads import HOSTILE, OPTIONS, PAGES, WITH_IMAGE, hostile_part, urls_of, write_part
from mini_parts import draw_page
from shard_samples import Part, shard_samples
from testbed.records.manifest import write_json
from testbed.records.processes import FORCERUN


def test_a_dead_web_is_an_error_that_keeps_what_came_before(fetch, tmp_path):
    pages = [*(draw_page(number) for number in range(20)), *(draw_page(number, "banned") for number in range(20, 60))]
    write_part(tmp_path / "part.parquet", pages)
    request = {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": pages, "options": OPTIONS}
    error = fetch(**request)["error"]
    assert "chunk 00001: only 0.0% of 20 URLs gave an image" in error
    assert "download.minimum_success (50.0%)" in error
    assert "http 429 (20)" in error
    assert "host0.test (5)" in error
    assert "Check the network and run the same command again, or lower" in error
    assert not (tmp_path / "00000" / "00001.json").exists()

    recovered = [page | {"behaviour": "ok"} for page in pages]
    answer = fetch(**request | {"pages": recovered})
    assert set(answer["visits"]) == {page["url"] for page in pages[20:]}
    assert answer["manifest"]["causes"] == {"success": 60}


def test_a_network_that_is_not_there_is_an_error(fetch, tmp_path):
    write_part(tmp_path / "part.parquet", PAGES[:20])
    options = OPTIONS | {"proxy": "http://127.0.0.1:9", "retries": 0}
    error = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=options)["error"]
    assert "only 0.0%" in error
    assert "proxy (20)" in error


def test_a_dead_link_in_a_short_last_chunk_is_no_dead_network(fetch, tmp_path):
    pages = [*(draw_page(number) for number in range(20)), draw_page(20, "missing")]
    write_part(tmp_path / "part.parquet", pages)
    answer = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=pages, options=OPTIONS)
    assert answer["manifest"]["causes"] == {"http 404": 1, "success": 20}


def test_success_is_the_share_that_was_asked_for(fetch, tmp_path):
    pages = [draw_page(number, "missing" if number < 5 else "ok") for number in range(20)]
    write_part(tmp_path / "part.parquet", pages)
    request = {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": pages}
    assert "only 75.0%" in fetch(**request, options=OPTIONS | {"minimum_success": 0.76})["error"]
    assert fetch(**request, options=OPTIONS | {"minimum_success": 0.75})["manifest"]["successes"] == 15


def test_a_chunk_has_an_end(fetch, hostile, tmp_path):
    hostile_part(tmp_path, hostile, ["drip"] * 6 + ["ok"] * 94)
    options = HOSTILE | {"chunk_deadline": 1.0, "deadline": 60.0, "threads": 2}
    started = time.monotonic()
    manifest = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=options)["manifest"]
    assert time.monotonic() - started < 6
    assert manifest["causes"] == {"out of time": 98, "timeout": 2}


def test_a_rate_limit_loses_no_image(fetch, hostile, tmp_path):
    hostile_part(tmp_path, hostile, ["ok"] * 20)
    options = HOSTILE | {"chunk_deadline": 1.0, "hosts": {"127.0.0.1": 10}}
    started = time.monotonic()
    manifest = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=options)["manifest"]
    assert time.monotonic() - started > 1.9
    assert manifest["causes"] == {"success": 20}


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(fetch, tmp_path):
    folder = tmp_path / "00000"
    with small_disk(folder) as resize:
        write_part(tmp_path / "part.parquet", PAGES)
        request = {"part": tmp_path / "part.parquet", "folder": folder, "pages": PAGES, "options": OPTIONS}
        error = fetch(**request)["error"]
        assert "cannot be written" in error and "No space left" in error and "Free disk space" in error
        kept = {path.stem for path in folder.glob("*.json")}
        resize("20M")
        answer = fetch(**request)
        assert set(answer["visits"]) == set().union(
            *(urls_of(chunk) for chunk in range(3) if f"0000{chunk}" not in kept)
        )
        assert answer["manifest"]["successes"] == len(WITH_IMAGE)


def test_chosen_failures_are_tried_once_more(fetch, hostile, tmp_path):
    kinds = ["ok", "busy-once", "unavailable-once", "missing", "busy", "ok"]
    urls = hostile_part(tmp_path, hostile, kinds)
    request = {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": []}
    first = fetch(**request, options=HOSTILE | {"retries": 0})["manifest"]
    assert first["causes"] == {"http 404": 1, "http 429": 2, "http 503": 1, "success": 2}
    visits = dict(hostile.visits)

    again = HOSTILE | {"retries": 0, "retry_failed": ["http 429", "http 503"]}
    second = fetch(**request, options=again)["manifest"]
    assert second["causes"] == {"http 404": 1, "http 429": 1, "success": 4}
    asked = {path for path in hostile.visits if hostile.visits[path] != visits.get(path, 0)}
    assert asked == {f"/{kind}/{number}" for number, kind in enumerate(kinds) if "once" in kind or kind == "busy"}
    # One outcome per URL, in the order of the list, each with the tar that holds its image.
    assert [file["name"] for file in second["files"]] == ["00000.tar", "00000-1.tar", "00000-1.parquet"]
    assert sorted(path.name for path in (tmp_path / "00000").iterdir()) == [
        "00000-1.parquet",
        "00000-1.tar",
        "00000.json",
        "00000.tar",
    ]
    outcomes = parquet.read_table(tmp_path / "00000" / "00000-1.parquet").to_pylist()
    assert [row["url"] for row in outcomes] == urls
    assert [row["tar"] for row in outcomes] == ["00000.tar", "00000-1.tar", "00000-1.tar", None, None, "00000.tar"]

    # What was tried again stays as it is; another cause is tried.
    visits = dict(hostile.visits)
    assert fetch(**request, options=again)["manifest"] == second
    assert hostile.visits == visits
    third = fetch(**request, options=again | {"retry_failed": ["http 404"]})["manifest"]
    assert third["causes"] == second["causes"]
    assert {path for path in hostile.visits if hostile.visits[path] != visits[path]} == {"/missing/3"}


def test_what_was_tried_again_is_left_unless_the_user_forces_it(monkeypatch):
    entry = {"causes": {"success": 2, "http 429": 1, "http 503": 1}, "retried": ["http 429"]}
    causes = ["http 429", "http 503", "http 404", "success"]
    monkeypatch.delenv(FORCERUN, raising=False)
    assert failures_to_retry(entry, causes) == {"http 503"}
    monkeypatch.setenv(FORCERUN, "download_images")
    assert failures_to_retry(entry, causes) == {"http 429", "http 503"}


def test_images_of_a_second_pass_are_sharded_in_list_order(fetch, hostile, tmp_path):
    urls = hostile_part(tmp_path, hostile, ["ok", "busy-once", "png", "missing", "unavailable-once"])
    request = {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": []}
    fetch(**request, options=HOSTILE | {"retries": 0})
    options = HOSTILE | {"retries": 0, "retry_failed": ["http 429", "http 503"]}
    write_json(tmp_path / "00000" / "manifest.json", fetch(**request, options=options)["manifest"])
    (tmp_path / "shards").mkdir()
    part = Part(tmp_path / "part.parquet", tmp_path / "00000")
    assert shard_samples("mine", [part], tmp_path / "shards", 2, 4)["samples"] == 4
    sharded = []
    for shard in sorted((tmp_path / "shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            sharded += [json.load(tar.extractfile(member))["url"] for member in tar if member.name.endswith(".json")]
    assert sharded == [url for url in urls if "missing" not in url]

    answer = fetch(**request, options=options | {"retry_failed": ["http 404"]})
    assert "its images are already in shards" in answer["error"]


def test_a_second_pass_without_a_network_changes_nothing(fetch, hostile, tmp_path):
    hostile_part(tmp_path, hostile, ["busy-once"] * 30 + ["ok"] * 5)
    request = {"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": []}
    options = HOSTILE | {"retries": 0}
    assert fetch(**request, options=options)["manifest"]["causes"] == {"http 429": 30, "success": 5}
    before = {path.name: path.read_bytes() for path in (tmp_path / "00000").glob("0*")}
    options |= {"retry_failed": ["http 429"]}
    for change, cause in ({"proxy": "http://127.0.0.1:9"}, "proxy"), ({"chunk_deadline": 0.0}, "out of time"):
        error = fetch(**request, options=options | change)["error"]
        assert f"none of 30 URLs could be requested ({cause})" in error
    assert {path.name: path.read_bytes() for path in (tmp_path / "00000").glob("0*")} == before
    assert fetch(**request, options=options)["manifest"]["causes"] == {"success": 35}
