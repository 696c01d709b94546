"""Fetched test sets: whole files alone get their names, whole files are kept, and what came is counted."""

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrieve_testset import RetrieveError, retrieve_testset
from testbed.evaluation.tasks import check_testset
from testbed.experiment.errors import ExperimentError
from testbed.miniweb.testsets import make_testset
from testbed.miniweb.world import CLASSES
from testbed.records.manifest import problem, read_json
from testset_origin import Server

IMAGES = 30
CLASSIFICATION = {
    *["test/nshards.txt", "classnames.txt", "zeroshot_classification_templates.txt", "test/0.tar", "test/1.tar"]
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """The files of a small test set, as its origin has them."""
    folder = tmp_path_factory.mktemp("drawn")
    make_testset("imagenet", IMAGES, 0, folder)
    return folder


@pytest.fixture
def server(drawn, tmp_path, monkeypatch) -> Iterator[Server]:
    """An origin with the set `small`, whose files a test may change."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(drawn, tmp_path / "origin" / "wds_small")
    server = Server(tmp_path / "origin")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "results" / "mine"


@pytest.fixture
def table(tmp_path) -> Callable[..., Path]:
    """A function that writes a table of expected counts with one row."""

    def write(images: object = IMAGES, classes: object = len(CLASSES), name: str = "small") -> Path:
        path = tmp_path / "testsets.csv"
        path.write_text(f"retrieve,title,images,classes\n{name},Small,{images},{classes}\n")
        return path

    return write


def retrieve(server: Server, folder: Path, table: Path, name: str = "small", **changes) -> dict:
    options = {"url": server.url, "timeout": 5, "retries": 2, "backoff": 0.01} | changes
    return retrieve_testset(name, folder, options | {"table": table}, options.pop("proxy", "none"))


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_whole_set_comes_and_can_be_evaluated(server, folder, table, drawn):
    manifest = retrieve(server, folder, table())
    assert {key: manifest[key] for key in ("retrieve", "task", "images", "classes")} == {
        **{"retrieve": "small", "task": "classification"},
        **{"images": IMAGES, "classes": len(CLASSES)},
    }
    assert files_in(folder) == CLASSIFICATION | {"record.json"}
    assert {file["name"] for file in manifest["files"]} == CLASSIFICATION
    assert [problem(folder, file) for file in manifest["files"]] == [None] * 5
    assert all((folder / name).read_bytes() == (drawn / name).read_bytes() for name in CLASSIFICATION)
    assert check_testset("mine", folder) == f"{folder}/classnames.txt"


def test_a_complete_set_is_not_asked_for_again(server, folder, table):
    first = retrieve(server, folder, table())
    server.asked.clear()
    assert retrieve(server, folder, table()) == first
    assert server.asked == {}


def test_a_restart_keeps_whole_files_and_fetches_the_rest(server, folder, table):
    server.faults["test/1.tar"] = ["cut"] * 3
    with pytest.raises(RetrieveError):
        retrieve(server, folder, table())
    assert files_in(folder) == CLASSIFICATION - {"test/1.tar"} | {"record.json"}
    server.asked.clear()
    assert retrieve(server, folder, table())["images"] == IMAGES
    assert server.times() == {"test/1.tar": 1}


@pytest.mark.parametrize("damage", ["shorter", "other bytes", "gone", "unrecorded"])
def test_a_file_that_is_not_as_recorded_is_fetched_again(server, folder, table, drawn, damage):
    retrieve(server, folder, table())
    server.asked.clear()
    shard = folder / "test/0.tar"
    if damage == "unrecorded":
        record = (folder / "record.json").read_text()
        (folder / "record.json").write_text(record.replace('"test/0.tar"', '"test/9.tar"'))
    elif damage == "gone":
        shard.unlink()
    else:
        content = shard.read_bytes()
        shard.write_bytes(content[:-512] if damage == "shorter" else content[:-1] + b"x")
    retrieve(server, folder, table())
    assert server.times() == {"test/0.tar": 1}
    assert shard.read_bytes() == (drawn / "test/0.tar").read_bytes()


def test_files_of_another_set_are_not_kept(server, folder, table):
    retrieve(server, folder, table())
    make_testset("sketch", IMAGES, 0, server.folder / "wds_vtab-other")
    server.asked.clear()
    retrieve(server, folder, table(name="vtab/other"), name="vtab/other")
    assert {path.partition("/")[0] for path in server.asked} == {"wds_vtab-other"}
    assert (folder / "test/0.tar").read_bytes() == (server.folder / "wds_vtab-other/test/0.tar").read_bytes()


@pytest.mark.parametrize("fault", ["cut", 503, 429])
def test_what_passes_is_tried_again(server, folder, table, fault):
    server.faults["test/0.tar"] = [fault, fault]
    assert retrieve(server, folder, table())["images"] == IMAGES
    assert server.times()["test/0.tar"] == 3


@pytest.mark.parametrize(("fault", "word"), [("cut", "IncompleteRead"), (503, "HTTP 503")])
def test_what_persists_is_an_error_and_leaves_nothing(server, folder, table, fault, word):
    server.faults["test/0.tar"] = [fault] * 9
    with pytest.raises(
        RetrieveError, match=rf"test/0\.tar: no complete response in 3 attempts.*{word}.*Run the same command"
    ):
        retrieve(server, folder, table())
    assert server.times()["test/0.tar"] == 3
    assert "test/0.tar" not in {file["name"] for file in read_json(folder / "record.json")["files"]}
    assert [name for name in files_in(folder) if "0.tar" in name] == []


def test_nobody_there_is_an_error(server, folder, table):
    server.shutdown()
    server.server_close()
    with pytest.raises(RetrieveError, match="nshards.txt: no complete response in 1 attempts.*refused"):
        retrieve(server, folder, table(), retries=0)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"images": 31}, ["30 images instead of 31"]),
        ({"classes": 1000}, [f"{len(CLASSES)} classes instead of 1,000"]),
        ({"images": 50000, "classes": 1}, ["30 images instead of 50,000", f"{len(CLASSES)} classes instead of 1"]),
    ],
)
def test_wrong_counts_are_an_error_and_the_files_stay(server, folder, table, expected, words):
    with pytest.raises(RetrieveError) as error:
        retrieve(server, folder, table(**expected))
    message = str(error.value)
    words = ["testsets.mine.retrieve: small has", "Delete that folder", str(folder), *words]
    assert [word for word in words if word not in message] == []
    assert "\n" not in message
    assert files_in(folder) == CLASSIFICATION | {"record.json"}


@pytest.mark.parametrize("rows", [{"images": "", "classes": ""}, {"name": "another"}])
def test_counts_that_are_not_known_are_not_checked_and_the_log_says_so(server, folder, table, caplog, rows):
    with caplog.at_level(logging.INFO):
        assert retrieve(server, folder, table(**rows))["images"] == IMAGES
    said = [line for line in caplog.messages if "not checked" in line]
    assert [re.match(r"small: has (\d+) (\w+),", line).groups() for line in said] == [
        (str(IMAGES), "images"),
        (str(len(CLASSES)), "classes"),
    ]


@pytest.mark.parametrize("status", [404, 401])
def test_a_set_that_is_not_there_is_an_error(server, folder, table, status):
    server.faults["test/nshards.txt"] = [status] * 9
    with pytest.raises(RetrieveError) as error:
        retrieve(server, folder, table())
    words = [
        "testsets.mine.retrieve: there is no small at",
        *[f"{server.url}/wds_small/resolve/main", f"HTTP {status}", "testset_origin.url", "path instead of retrieve"],
    ]
    assert [word for word in words if word not in str(error.value)] == []
    assert server.asked.total() == 1
    assert files_in(folder) == set()


def test_a_set_without_one_of_its_files_is_an_error(server, folder, table):
    (server.folder / "wds_small/test/1.tar").unlink()
    with pytest.raises(RetrieveError, match=r"test/1\.tar responds with HTTP 404.*path instead of retrieve"):
        retrieve(server, folder, table())


def test_a_page_in_place_of_a_number_is_an_error_and_is_asked_for_again(server, folder, table, drawn):
    served = server.folder / "wds_small/test/nshards.txt"
    served.write_text("<html>Log in</html>")
    with pytest.raises(RetrieveError, match=r"nshards\.txt: has '<html>Log in</html>'"):
        retrieve(server, folder, table())
    shutil.copy(drawn / "test/nshards.txt", served)
    assert retrieve(server, folder, table())["images"] == IMAGES


def test_a_page_in_place_of_a_shard_is_an_error(server, folder, table):
    (server.folder / "wds_small/test/1.tar").write_text("<html>Log in</html>" * 100)
    with pytest.raises(
        RetrieveError, match=f"(?s){folder}/test/1.tar: was fetched, but is not a complete tar file.*Delete it"
    ):
        retrieve(server, folder, table())


def test_a_template_without_the_class_name_is_an_error(server, folder, table):
    (server.folder / "wds_small/zeroshot_classification_templates.txt").write_text("a photo of a {}\n")
    with pytest.raises(RetrieveError) as error:
        retrieve(server, folder, table())
    assert "templates.txt, line 1: 'a photo of a {}' is not a template" in str(error.value)
    assert f"Do so in a copy of {folder}, and set that copy as path" in str(error.value)


def test_redirects_are_followed(server, folder, table):
    server.moved = True
    assert retrieve(server, folder, table())["images"] == IMAGES
    assert server.asked["elsewhere/wds_small/resolve/main/test/0.tar"] == 1


@pytest.mark.parametrize("way", ["environment", "experiment"])
def test_a_proxy_is_used(server, folder, table, monkeypatch, way):
    """The server stands in for a proxy: such a host there is not."""
    if way == "environment":
        monkeypatch.setenv("http_proxy", server.url)
    proxy = {"proxy": server.url} if way == "experiment" else {}
    assert retrieve(server, folder, table(), url="http://no-such-host.invalid/", **proxy)["images"] == IMAGES


def test_the_environment_may_except_hosts_from_the_proxy(server, folder, table, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://no-such-host.invalid:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert retrieve(server, folder, table())["images"] == IMAGES


def test_a_retrieval_set_has_captions_and_no_classes(server, folder, table):
    served = server.folder / "wds_small"
    (served / "dataset_type.txt").write_text("retrieval\n")
    for name in ("classnames.txt", "zeroshot_classification_templates.txt"):
        (served / name).unlink()
    manifest = retrieve(server, folder, table(classes=""))
    assert (manifest["task"], manifest["images"]) == ("retrieval", IMAGES)
    assert {file["name"] for file in manifest["files"]} == {
        *["test/nshards.txt", "dataset_type.txt", "test/0.tar", "test/1.tar"]
    }
    assert check_testset("mine", folder) == f"{folder}/test/nshards.txt"
    (folder / "dataset_type.txt").unlink()
    with pytest.raises(ExperimentError, match="classnames.txt is missing"):
        check_testset("mine", folder)
