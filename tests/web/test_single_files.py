"""Single files: what came stays, the rest is asked for, and a file is never put together from two versions."""

import json
import sys
from collections.abc import Iterator

import pytest

from file_origin import FileOrigin
from processes import started
from testbed.web import single_files
from testbed.web.single_files import FetchError, fetch, open_pool

CONTENT = bytes(range(256)) * 4_000
OPTIONS = {"timeout": 5, "retries": 2, "backoff": 0.01}


@pytest.fixture
def origin(monkeypatch) -> Iterator[FileOrigin]:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # What came of an incomplete piece is lost.
    monkeypatch.setattr(single_files, "PIECE", 1 << 10)
    origin = FileOrigin({"list.tsv": CONTENT})
    yield origin
    origin.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lists" / "list.tsv"


def get(origin: FileOrigin, path, **changes) -> int:
    url = f"{origin.url}/list.tsv"
    return fetch(open_pool(url, "none"), url, path, OPTIONS | changes)


def ranges(origin: FileOrigin) -> list[str | None]:
    return [headers.get("Range") for headers in origin.asked["list.tsv"]]


def test_a_whole_file_leaves_nothing_beside_it(origin, path):
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["list.tsv"]


def test_after_cuts_only_the_rest_is_asked_for(origin, path):
    origin.faults["list.tsv"] = ["cut", "cut"]
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert ranges(origin) == [None, f"bytes={half}-", f"bytes={half + quarter}-"]


def test_the_next_run_goes_on_where_the_last_one_gave_up(origin, path):
    origin.faults["list.tsv"] = ["cut", 503, 503]
    with pytest.raises(FetchError, match="in 3 attempts, the last: HTTP 503"):
        get(origin, path)
    assert not path.exists()
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT
    assert ranges(origin)[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_file_that_changed_is_fetched_from_its_beginning(origin, path):
    origin.faults["list.tsv"] = ["cut"]
    with pytest.raises(FetchError):
        get(origin, path, retries=0)
    origin.files["list.tsv"] = changed = CONTENT[::-1]
    assert get(origin, path) == 200
    assert path.read_bytes() == changed


def test_halves_of_two_versions_are_not_put_together(origin, path):
    """Not every server or proxy heeds If-Range."""
    origin.faults["list.tsv"] = ["cut"]
    with pytest.raises(FetchError):
        get(origin, path, retries=0)
    origin.files["list.tsv"] = changed = CONTENT[::-1]
    origin.faults["list.tsv"] = ["any version"]
    assert get(origin, path) == 200
    assert path.read_bytes() == changed


def test_a_part_that_is_whole_is_not_fetched_again(origin, path):
    """As after a kill between the last byte and the file's name."""
    assert get(origin, path) == 200
    part = single_files.Part(path, f"{origin.url}/list.tsv")
    path.rename(part.bytes)
    part.version.write_text(json.dumps({"url": part.url, "version": f'"{hash(CONTENT)}"'}))
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT
    assert ranges(origin) == [None, f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("fault", ["no ranges", "wrong range", 416])
def test_servers_that_cannot_continue_send_it_again(origin, path, fault):
    origin.faults["list.tsv"] = ["cut", fault]
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT


def test_without_a_version_nothing_is_continued(origin, path):
    origin.versions = False
    origin.faults["list.tsv"] = ["cut"]
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT
    assert ranges(origin) == [None, None]


def test_a_part_of_another_address_is_not_continued(origin, path):
    origin.files["other.tsv"] = other = CONTENT[::-1]
    origin.faults["other.tsv"] = ["cut"]
    url = f"{origin.url}/other.tsv"
    with pytest.raises(FetchError):
        fetch(open_pool(url, "none"), url, path, OPTIONS | {"retries": 0})
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT != other
    assert ranges(origin) == [None]


def test_a_refusal_leaves_nothing(origin, path):
    origin.faults["list.tsv"] = ["cut", 404]
    assert get(origin, path) == 404
    assert list(path.parent.iterdir()) == []


def test_a_killed_fetch_is_continued(origin, path, scripts_environment):
    """The process stops in the middle of the file, so that the kill comes while the file comes."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from testbed.web import single_files\n"
        "class Slow(single_files.Part):\n"
        "    def _write(self, response, file, known):\n"
        "        file.write(response.read(1 << 16)); file.flush()\n"
        "        print('half', flush=True); time.sleep(600)\n"
        "single_files.Part = Slow\n"
        "url = sys.argv[1]\n"
        "single_files.fetch(single_files.open_pool(url, 'none'), url, Path(sys.argv[2]), "
        "{'timeout': 5, 'retries': 0, 'backoff': 0})\n"
    )
    command = (sys.executable, "-c", program, f"{origin.url}/list.tsv", str(path))
    with started(*command, environment=scripts_environment) as process:
        assert process.stdout.readline().strip() == "half"
        process.kill()
        process.wait()
    assert not path.exists()
    assert get(origin, path) == 200
    assert path.read_bytes() == CONTENT
    assert ranges(origin) == [None, f"bytes={1 << 16}-"]
