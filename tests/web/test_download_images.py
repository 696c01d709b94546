"""Downloads by the real img2dataset: every URL of a part has its outcome, and every image is stored as asked for."""

import io
import re
import tarfile
from types import SimpleNamespace

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from download_images import shown
from example_downloads import BEHAVIOURS, HOSTILE, OPTIONS, PAGES, URLS, WITH_IMAGE, hostile_part, urls_of, write_part
from hostile import OUTCOMES
from processes import wait_for
from testbed.records.log import PROGRESS_FILE, read_progress
from testbed.records.manifest import problem, read_json
from testbed.web.rate_limit import share_of_job


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


def test_small_images_are_refused(fetch, tmp_path):
    write_part(tmp_path / "part.parquet", PAGES[:20])
    options = OPTIONS | {"minimum_size": 65, "minimum_success": 0}
    answer = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=PAGES, options=options)
    small = [page for page in PAGES[:20] if page["url"] in WITH_IMAGE and page["size"] == 64]
    assert answer["manifest"]["causes"]["image too small"] == len(small) > 0


def test_an_empty_part_has_an_empty_manifest(fetch, tmp_path):
    table = pa.table({name: pa.array([], pa.string()) for name in ("uid", "url", "caption")})
    parquet.write_table(table, tmp_path / "part.parquet")
    answer = fetch(part=tmp_path / "part.parquet", folder=tmp_path / "00000", pages=[], options=OPTIONS)
    storage = {name: OPTIONS[name] for name in ("image_size", "quality", "minimum_size", "rotate")}
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


def test_every_hostile_answer_has_its_outcome(fetch, hostile, tmp_path):
    # A Retry-After of a day would pause the host for all others; test_fetch.py looks at it.
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


def test_progress_is_shown_while_it_lasts(monkeypatch, tmp_path):
    monkeypatch.setattr("download_images.SHOWN_SECONDS", 0.05)
    monkeypatch.setenv(PROGRESS_FILE, str(tmp_path / "progress"))
    with shown(SimpleNamespace(done=50, images=40), 200):
        wait_for(lambda: (tmp_path / "progress").is_file())
    words, fraction = read_progress(tmp_path / "progress")
    assert re.fullmatch(r"25% of 200 URLs, [\de.+]+ images/s, 80% success", words)
    assert fraction == 0.25


def test_jobs_share_the_rates():
    shared = share_of_job(OPTIONS | {"jobs": 4, "requests_per_second": 50, "hosts": {"a.org": 2}, "retries": 3})
    assert (shared["requests_per_second"], shared["hosts"], shared["retries"]) == (12.5, {"a.org": 0.5}, 3)
