"""The mini-web's server, asked as img2dataset asks it: as an HTTP proxy."""

import io
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict

import pyarrow as pa
import pytest
from PIL import Image, ImageChops, ImageStat
from pyarrow import parquet

from processes import started
from testbed.miniweb.origins import TABLES
from testbed.miniweb.pages import Page
from testbed.miniweb.scenes import draw
from testbed.miniweb.server import MiniwebServer, running


def page(behaviour="ok", form="jpeg", size=64) -> dict:
    return asdict(Page(f"http://host.test/{behaviour}.{form}", "cat", "photo", 7, size, form, behaviour))


def get(proxy: str, url: str) -> tuple[int, str, bytes]:
    """Status, content type and body of `url`, asked for through `proxy`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    try:
        with opener.open(url, timeout=10) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


@pytest.fixture
def server():
    with MiniwebServer({}) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def ask(server):
    """A function that puts a page on the server and asks for it."""

    def answer(content: dict) -> tuple[int, str, bytes]:
        server.pages[content["url"]] = content
        return get(server.address, content["url"])

    return answer


@pytest.mark.parametrize(("form", "size"), [("jpeg", 64), ("png", 72), ("webp", 96)])
def test_a_page_shows_its_image(ask, form, size):
    status, content_type, body = ask(page(form=form, size=size))
    assert (status, content_type) == (200, f"image/{form}")
    image = Image.open(io.BytesIO(body))
    assert (image.format, image.size) == (form.upper(), (size, size))
    difference = ImageChops.difference(image.convert("RGB"), draw("cat", "photo", 7, size))
    assert max(ImageStat.Stat(difference).mean) <= (0 if form == "png" else 12)


def test_equal_pages_give_equal_bytes(ask):
    assert ask(page(form="webp")) == ask(page(form="webp"))


def test_a_page_that_is_gone_is_not_found(ask):
    status, content_type, _ = ask(page("missing"))
    assert (status, content_type) == (404, "text/html")


def test_an_address_that_nobody_serves_is_not_found(server):
    assert get(server.address, "http://nobody.test/1.jpg")[0] == 404


def test_a_placeholder_page_looks_like_success(ask):
    status, content_type, body = ask(page("html"))
    assert (status, content_type) == (200, "text/html")
    assert b"<html>" in body


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_a_corrupt_image_has_the_length_of_the_image_and_does_not_decode(ask, form):
    _, _, whole = ask(page(form=form))
    status, content_type, body = ask(page("corrupt", form))
    assert (status, content_type, len(body)) == (200, f"image/{form}", len(whole))
    with pytest.raises(OSError):
        Image.open(io.BytesIO(body)).load()


def test_a_truncated_image_is_the_beginning_of_the_image(ask):
    _, _, whole = ask(page())
    status, _, body = ask(page("truncated"))
    assert status == 200
    assert 0 < len(body) < len(whole) / 2
    assert whole.startswith(body)
    with pytest.raises(OSError):
        Image.open(io.BytesIO(body)).load()


def test_a_busy_host_answers_the_second_time(ask):
    assert [ask(page("busy"))[0] for _ in range(3)] == [429, 200, 200]


def test_a_host_that_bans_the_crawler_never_answers(ask):
    assert [ask(page("banned"))[0] for _ in range(3)] == [429, 429, 429]


def test_a_slow_host_answers_late(ask):
    started = time.monotonic()
    assert ask(page("slow"))[0] == 200
    assert time.monotonic() - started >= 0.5


@pytest.fixture
def pages(tmp_path):
    path = tmp_path / "pages.parquet"
    parquet.write_table(pa.Table.from_pylist([page()]), path)
    return str(path)


def is_down(address: str) -> bool:
    """Return whether nobody listens at `address`; a server that is ending may still answer with half a page."""
    try:
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=10).close()
    except OSError:
        return True
    return False


def test_two_servers_do_not_meet(pages):
    with running([pages]) as first, running([pages]) as second:
        assert first != second
        assert get(first, page()["url"]) == get(second, page()["url"])
    assert is_down(first)
    assert is_down(second)


def test_the_server_ends_with_the_work_it_was_for(pages):
    with pytest.raises(ZeroDivisionError), running([pages]) as address:
        assert not is_down(address)
        _ = 1 / 0
    assert is_down(address)


def test_the_server_does_not_outlive_a_killed_parent(pages, scripts_environment):
    program = (
        "import sys, time\n"
        "from testbed.miniweb.server import running\n"
        "with running(sys.argv[1:]) as address:\n"
        "    print(address, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with started(sys.executable, "-c", program, pages, environment=scripts_environment) as parent:
        address = parent.stdout.readline().strip()
        assert not is_down(address)
    deadline = time.monotonic() + 5
    while not is_down(address):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_cannot_start_says_how_to_try_it(tmp_path, capfd):
    with (
        pytest.raises(RuntimeError, match=f"run it by hand to see why: .* {tmp_path}/none.parquet"),
        running([f"{tmp_path}/none.parquet"]),
    ):
        pass
    assert "FileNotFoundError" in capfd.readouterr().err


def test_published_files_stand_where_their_hosts_have_them(server):
    hub = "http://huggingface.test/datasets/clip-benchmark/wds_imagenet-r/resolve/main"
    assert get(server.address, f"{hub}/test/nshards.txt")[2] == b"2\n"
    assert get(server.address, f"{hub}/classnames.txt")[2] == b"missile\nmushroom\n"
    table = get(server.address, "http://tables.test/openclip_results.csv")[2]
    assert table == (TABLES / "openclip_results.csv").read_bytes()
    for missing in (
        f"{hub}/dataset_type.txt",
        f"{hub.replace('-r/', '-x/')}/classnames.txt",
        "http://tables.test/no.csv",
    ):
        assert get(server.address, missing)[0] == 404


@pytest.mark.parametrize("above", ["../../../../../../../../etc/passwd", "test/../../../../../../../../etc/passwd"])
def test_nothing_above_the_published_files_is_served(server, above):
    port = server.server_port
    with socket.create_connection(("127.0.0.1", port)) as connection:
        url = f"http://huggingface.test/datasets/clip-benchmark/wds_imagenet-r/resolve/main/{above}"
        connection.sendall(f"GET {url} HTTP/1.0\r\n\r\n".encode())
        assert connection.recv(100).split()[1] == b"404"


def test_wikimedia_refuses_who_gives_no_contact(server):
    url = "http://upload.wikimedia.test/cat.jpg"
    server.pages[url] = page() | {"url": url}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": server.address}))
    answers = {}
    for agent in ("Mozilla/5.0 (compatible; testbed)", "Mozilla/5.0 (compatible; testbed; +lab@example.org)"):
        try:
            answers[agent] = opener.open(urllib.request.Request(url, headers={"User-Agent": agent})).status
        except urllib.error.HTTPError as error:
            answers[agent] = error.code
    assert list(answers.values()) == [403, 200]
