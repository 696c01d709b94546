"""Published tables: the very file that is pinned, or a message and no file."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import retrieve_table as rule
from retrieve_table import TableError, retrieve_table

CONTENT = b"model,val\nresnet50,76.1\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path, monkeypatch) -> Iterator[str]:
    """Where a table lies on a server on loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rule, "OPTIONS", {"timeout": 5, "retries": 1, "backoff": 0})
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "table.csv").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *arguments: Quiet(*arguments, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/table.csv"
    server.shutdown()
    server.server_close()


def listed(folder: Path, url: str, content: bytes = CONTENT) -> Path:
    tables = folder / "tables.csv"
    tables.write_text(
        f"table,url,sha256,licence,content\nmine,{url},{hashlib.sha256(content).hexdigest()},MIT,numbers\n"
    )
    return tables


def test_the_pinned_file_comes(address, tmp_path):
    retrieve_table("mine", listed(tmp_path, address), tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_bytes() == CONTENT


def test_another_file_is_refused_and_not_kept(address, tmp_path):
    with pytest.raises(TableError, match="the file has the SHA-256 .* but .* Download it by hand from http"):
        retrieve_table("mine", listed(tmp_path, address, b"changed"), tmp_path / "out" / "mine.csv")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{folder}/nothing.csv", "responds with HTTP 404"),
        ("http://127.0.0.1:9/table.csv", "no complete response in 2 attempts"),
    ],
)
def test_what_does_not_come_is_named(address, tmp_path, url, message):
    url = url.replace("{folder}", address.rpartition("/")[0])
    with pytest.raises(TableError, match=message):
        retrieve_table("mine", listed(tmp_path, url), tmp_path / "mine.csv")
    assert not (tmp_path / "mine.csv").exists()


def test_a_table_without_an_address_is_named(address, tmp_path):
    with pytest.raises(TableError, match="has no table 'other'"):
        retrieve_table("other", listed(tmp_path, address), tmp_path / "other.csv")
