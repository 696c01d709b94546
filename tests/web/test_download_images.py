"""Downloads by the real img2dataset from the mini-web: nothing is lost, nothing is fetched twice, failures are named."""

import io
import json
import re
import shutil
import tarfile
import time
from collections import Counter
from types import SimpleNamespace

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import mini_parts
from disks import small_disk
from download_images import failures_to_retry, shown
from experiments import DEMO, load
from hostile import OUTCOMES, HostileServer
from mini_parts import draw_page
from processes import wait_for
from shard_samples import Part, shard_samples
from testbed.records.log import PROGRESS_FILE, read_progress
from testbed.records.manifest import problem, read_json, write_json
from testbed.records.processes import FORCERUN
from testbed.web.rate_limit import share_of_job

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
def hostile():
    server = HostileServer()
    yield server
    server.close()


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
    assert causes["no image"] + causes["cannot be decoded"] == undecodable


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


def hostile_part(tmp_path, hostile, kinds: list[str]) -> list[str]:
    """A part of the list with one URL of each of `kinds` on the hostile server; returns the URLs."""
    urls = [hostile.url(kind, number) for number, kind in enumerate(kinds)]
    mini_parts.write_part(tmp_path / "part.parquet", urls)
    return urls


HOSTILE = OPTIONS | {
    "proxy": "none",
    "private_networks": ["127.0.0.1/32"],
    "timeout": 0.6,
    "deadline": 3.0,
    "backoff": 0.05,
    "max_bytes": 3_000_000,
    "minimum_success": 0,
    "chunk_size": 100,
}


def test_every_hostile_answer_has_its_outcome(fetch, hostile, tmp_path):
    # A Retry-After of a day would pause the host for all others; test_web.py looks at it.
    kinds = [kind for kind in OUTCOMES if kind != "ask-tomorrow"]
    urls = hostile_part(tmp_path, hostile, kinds)
    fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=HOSTILE)
    outcomes = parquet.read_table(tmp_path / "00000" / "00000.parquet").to_pylist()
    assert [row["url"] for row in outcomes] == urls
    found = {kind: row["cause"] for kind, row in zip(kinds, outcomes, strict=True)}
    assert found == {kind: OUTCOMES[kind] for kind in kinds}
    with tarfile.open(tmp_path / "00000" / "00000.tar") as tar:
        images = {m.name.partition(".")[0]: tar.extractfile(m).read() for m in tar if m.name.endswith(".jpg")}
    assert sorted(images) == sorted(row["key"] for row in outcomes if row["cause"] == "success")
    for image in images.values():
        assert Image.open(io.BytesIO(image)).mode in ("RGB", "L")


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


def test_what_is_in_shards_is_not_fetched_again(fetch, copied, fetched):
    folder = copied["folder"]
    entry = read_json(folder / "00001.json")
    write_json(folder / "00001.json", entry | {"sharded": True})
    (folder / "00001.tar").unlink()
    answer = fetch(**copied)
    assert answer["visits"] == {}
    assert answer["manifest"] == fetched[1]["manifest"]


def test_progress_is_shown_while_it_lasts(monkeypatch, tmp_path):
    monkeypatch.setattr("download_images.SHOWN_SECONDS", 0.05)
    monkeypatch.setenv(PROGRESS_FILE, str(tmp_path / "progress"))
    with shown(SimpleNamespace(done=50, images=40), 200):
        wait_for(lambda: (tmp_path / "progress").is_file())
    words, fraction = read_progress(tmp_path / "progress")
    assert re.fullmatch(r"25% of 200 URLs, [\de.+]+ images/s, 80% success", words)
    assert fraction == 0.25


def test_a_chunk_has_an_end(fetch, hostile, tmp_path):
    hostile_part(tmp_path, hostile, ["drip"] * 6 + ["ok"] * 94)
    options = HOSTILE | {"chunk_deadline": 1.0, "deadline": 60.0, "threads": 2}
    started = time.monotonic()
    manifest = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=options)["manifest"]
    assert time.monotonic() - started < 6
    assert manifest["causes"] == {"out of time": 98, "timeout": 2}


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


def test_images_in_shards_are_not_fetched_for_another_question(fetch, copied):
    folder = copied["folder"]
    for chunk in range(3):
        write_json(folder / f"0000{chunk}.json", read_json(folder / f"0000{chunk}.json") | {"sharded": True})
    answer = fetch(**copied | {"options": OPTIONS | {"image_size": 16}})
    assert "is already in shards" in answer["error"] and "Set download.image_size" in answer["error"]
    assert answer["visits"] == {}


@pytest.mark.parametrize("chunk_size", [7, 50])
def test_a_part_keeps_the_chunks_that_it_was_begun_with(fetch, copied, chunk_size):
    (copied["folder"] / "00001.json").unlink()
    answer = fetch(**copied | {"options": OPTIONS | {"chunk_size": chunk_size}})
    assert answer["manifest"]["rows"] == 60 and set(answer["visits"]) == urls_of(1)
    assert len(list(copied["folder"].glob("0*.json"))) == 3


def test_how_images_are_fetched_does_not_matter_to_those_that_are_there(fetch, copied):
    how = {"retries": 9, "timeout": 1, "threads": 3, "requests_per_second": 5, "user_agent": "another", "max_bytes": 10}
    assert fetch(**copied | {"options": OPTIONS | how | {"contact": "me@site.org"}})["visits"] == {}


def test_jobs_share_the_rates():
    shared = share_of_job(OPTIONS | {"jobs": 4, "requests_per_second": 50, "hosts": {"a.org": 2}, "retries": 3})
    assert (shared["requests_per_second"], shared["hosts"], shared["retries"]) == (12.5, {"a.org": 0.5}, 3)


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
