"""Twenty thousand URLs of a web at its worst: each one ends, in its cause, and memory stays where it is."""

import sys
import time
from collections import Counter

import pytest
from pyarrow import parquet

import mini_parts
from experiments import load, read
from hostile import OUTCOMES, HostileServer
from processes import helper

URLS = 20_000
EACH = 40
HARMLESS = ("ok", "ok", "png", "webp", "exif", "cmyk")
LIMITS = {
    "proxy": "none",
    "private_networks": ["127.0.0.1/32"],
    "chunk_size": 1000,
    "threads": 64,
    # Above what an answer takes on a machine that is busy with other tests.
    "timeout": 4.0,
    "deadline": 8.0,
    "backoff": 0.1,
    "max_bytes": 3_000_000,
    "requests_per_second": 0,
    "minimum_success": 0.5,
}


@pytest.fixture(scope="module")
def hostile():
    server = HostileServer()
    yield server
    server.close()


def test_every_url_of_a_hostile_web_is_accounted_for(hostile, scripts_environment, tmp_path):
    # Retry-After of a day pauses the host, here all of the web, for the deadline; test_fetch.py looks at it.
    kinds = [kind for kind in OUTCOMES if kind != "ask-tomorrow"] * EACH
    kinds += [HARMLESS[number % len(HARMLESS)] for number in range(URLS - len(kinds))]
    # Spread over the chunks: 7919 is prime, so that every place is met once.
    kinds = [kinds[number * 7919 % URLS] for number in range(URLS)]
    urls = [hostile.url(kind, number) for number, kind in enumerate(kinds)]
    mini_parts.write_part(tmp_path / "part.parquet", urls)
    options = load(read("demo")).config["download"] | LIMITS
    started = time.monotonic()
    with helper("fetch_parts.py", scripts_environment) as ask:
        answer = ask({"part": tmp_path / "part.parquet", "folder": tmp_path / "00000", "pages": [], "options": options})
    print(f"{URLS} URLs in {time.monotonic() - started:.0f} s, {answer['memory_mb']:.0f} MB", file=sys.stderr)

    assert answer["manifest"]["causes"] == Counter(OUTCOMES[kind] for kind in kinds)
    found = {}
    for path in (tmp_path / "00000").glob("*.parquet"):
        found |= {row["url"]: row["cause"] for row in parquet.read_table(path, columns=["url", "cause"]).to_pylist()}
    assert found == {url: OUTCOMES[kind] for url, kind in zip(urls, kinds, strict=True)}
    # The process itself takes 700, as img2dataset imports torch; few of the answers are near the 3 MB that one may have.
    assert answer["memory_mb"] < 920
