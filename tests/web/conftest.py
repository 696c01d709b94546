"""Servers and downloads that tests of this folder share."""

import shutil

import pytest

from example_downloads import OPTIONS, PAGES, write_part
from hostile import HostileServer


@pytest.fixture(scope="session")
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


@pytest.fixture
def hostile():
    """A hostile server that nobody has asked before."""
    server = HostileServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def server():
    """A hostile server for the tests of a file."""
    server = HostileServer()
    yield server
    server.close()
