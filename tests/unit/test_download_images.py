"""Downloads by the real img2dataset from the mini-web: nothing is lost, nothing is fetched twice, failures are named."""

import json
import shutil
import tarfile
from collections import Counter

import pyarrow as pa
import pytest
from pyarrow import parquet

import mini_parts
from experiments import DEMO, load
from mini_parts import draw_page
from testbed.manifest import problem, read_json

OPTIONS = {name: value for name, value in load(DEMO).config["download"].items() if name != "proxy"} | {
    "chunk_size": 20,
    "minimum_success": 0.5,
}
BEHAVIOURS = {"ok": 39, "missing": 4, "html": 3, "corrupt": 3, "truncated": 3, "busy": 3, "banned": 3, "slow": 2}
# Every seventh of the sixty, and so on, so that all chunks hold most kinds.
_KINDS = list(Counter(BEHAVIOURS).elements())
PAGES = [draw_page(number, _KINDS[number * 7 % 60]) for number in range(60)]
URLS = [page["url"] for page in PAGES]
WITH_IMAGE = {page["url"] for page in PAGES if page["behaviour"] in ("ok", "busy", "slow")}


@pytest.fixture(scope="module")
def fetched(tmp_path_factory, fetch):
    """A part that was fetched once: its folder, the request and the answer."""
    folder = tmp_path_factory.mktemp("downloads")
    write_part(folder / "part.parquet", PAGES)
    request = {"part": folder / "part.parquet", "folder": folder / "00000", "pages": PAGES, "options": OPTIONS}
    return request, fetch(**request)


@pytest.fixture
def copied(fetched, tmp_path):
    """A request for what is there already, in a folder that a test may damage."""
    request, _ = fetched
    shutil.copytree(request["folder"], tmp_path / "00000")
    return {**request, "folder": tmp_path / "00000"}


def write_part(path, pages):
    mini_parts.write_part(path, [page["url"] for page in pages])


def urls_of(chunk: int) -> set[str]:
    return set(URLS[chunk * 20 : (chunk + 1) * 20])


def test_every_url_is_accounted_for(fetched):
    request, answer = fetched
    manifest = answer["manifest"]
    assert manifest["rows"] == sum(manifest["causes"].values()) == 60
    tables = [parquet.read_table(request["folder"] / f"0000{chunk}.parquet") for chunk in range(3)]
    outcomes = {row["url"]: row for table in tables for row in table.to_pylist()}
    assert set(outcomes) == set(URLS)
    assert {url for url, row in outcomes.items() if row["cause"] == "success"} == WITH_IMAGE
    assert manifest["successes"] == manifest["causes"]["success"] == len(WITH_IMAGE) == 44
    for chunk in range(3):
        with tarfile.open(request["folder"] / f"0000{chunk}.tar") as tar:
            images = {name.partition(".")[0] for name in tar.getnames() if name.endswith(".jpg")}
        assert images == {row["key"] for row in tables[chunk].to_pylist() if row["cause"] == "success"}


def test_failures_are_counted_by_cause(fetched):
    causes = fetched[1]["manifest"]["causes"]
    assert causes["http 404"] == BEHAVIOURS["missing"]
    assert causes["http 429"] == BEHAVIOURS["banned"]
    undecodable = BEHAVIOURS["html"] + BEHAVIOURS["corrupt"] + BEHAVIOURS["truncated"]
    assert causes["no image"] + causes["Image decoding error"] == undecodable


def test_tries_are_repeated_where_a_failure_may_pass(fetched):
    visits = fetched[1]["visits"]
    wanted = {"banned": 3, "busy": 2}
    assert visits == {page["url"]: wanted.get(page["behaviour"], 1) for page in PAGES}


def test_outcomes_are_in_the_order_of_the_list(fetched):
    request, _ = fetched
    urls = [parquet.read_table(request["folder"] / f"0000{chunk}.parquet")["url"].to_pylist() for chunk in range(3)]
    assert sum(urls, []) == URLS


def test_images_are_stored_at_the_configured_size(fetched):
    request, _ = fetched
    for row in parquet.read_table(request["folder"] / "00000.parquet").to_pylist():
        if row["cause"] == "success":
            assert (row["width"], row["height"]) == (40, 40)
            assert row["original_width"] in (64, 72, 96)


def test_every_chunk_has_a_record_that_holds(fetched):
    request, answer = fetched
    folder = request["folder"]
    records = [read_json(folder / f"0000{chunk}.json") for chunk in range(3)]
    assert [entry["rows"] for entry in records] == [20, 20, 20]
    assert sum(entry["successes"] for entry in records) == answer["manifest"]["successes"]
    assert [file for entry in records for file in entry["files"]] == answer["manifest"]["files"]
    assert [problem(folder, file) for file in answer["manifest"]["files"]] == [None] * 6
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"0000{chunk}.{kind}" for chunk in range(3) for kind in ("tar", "parquet", "json")
    )


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


@pytest.mark.parametrize("option", ["image_size", "quality"])
def test_images_to_be_stored_otherwise_are_fetched_again(fetch, copied, option):
    answer = fetch(**copied | {"options": OPTIONS | {option: 32}})
    assert set(answer["visits"]) == set(URLS)


@pytest.mark.parametrize("option", ["threads", "timeout", "retries", "user_agent"])
def test_other_options_leave_what_is_there(fetch, copied, option):
    answer = fetch(**copied | {"options": OPTIONS | {option: "other" if option == "user_agent" else 1}})
    assert answer["visits"] == {}


def test_small_images_are_refused(fetch, tmp_path):
    write_part(tmp_path / "part.parquet", PAGES[:20])
    options = OPTIONS | {"minimum_size": 65, "minimum_success": 0}
    answer = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=PAGES, options=options)
    small = [page for page in PAGES[:20] if page["url"] in WITH_IMAGE and page["size"] == 64]
    assert answer["manifest"]["causes"]["image too small"] == len(small) > 0


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


def test_an_empty_part_has_an_empty_manifest(fetch, tmp_path):
    table = pa.table({name: pa.array([], pa.string()) for name in ("uid", "url", "caption")})
    parquet.write_table(table, tmp_path / "part.parquet")
    answer = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=OPTIONS)
    storage = {name: OPTIONS[name] for name in ("image_size", "quality", "minimum_size")}
    assert answer["manifest"] == {"rows": 0, "successes": 0, "causes": {}, "storage": storage, "files": []}


def test_the_mini_webs_own_server_is_started_for_the_time_of_the_download(fetch, tmp_path):
    write_part(tmp_path / "part.parquet", PAGES[:20])
    parquet.write_table(pa.Table.from_pylist(PAGES), tmp_path / "pages.parquet")
    options = OPTIONS | {"proxy": "miniweb"}
    answer = fetch(
        part=tmp_path / "part.parquet",
        folder=tmp_path / "00000",
        pages=[],
        files=[str(tmp_path / "pages.parquet")],
        options=options,
    )
    assert answer["visits"] == {}
    assert answer["manifest"]["successes"] == len(WITH_IMAGE & urls_of(0))


def test_metadata_in_the_tar_is_the_rows(fetched):
    request, _ = fetched
    rows = {row["uid"]: row for row in parquet.read_table(request["part"]).to_pylist()}
    with tarfile.open(request["folder"] / "00000.tar") as tar:
        entries = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]
    assert entries
    assert all(entry["caption"] == rows[entry["uid"]]["caption"] for entry in entries)
