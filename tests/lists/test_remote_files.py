"""Addresses of lists, and files of a Hub on loopback: which are fetched, with which token, and what is refused."""

import json
import subprocess
import sys

import pytest

from hub import COMMIT, serve_hub
from testbed.lists.addresses import check_address, hub_parts
from testbed.lists.pairs import ListError
from testbed.lists.remote_files import matches
from testbed.records.manifest import read_json


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results/lists/mine"


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def on_the_hub(tmp_path, scripts_environment):
    """A function that retrieves from a Hub on loopback, in a process of its own; its answer, and what the Hub was asked."""
    datasets = tmp_path / "hub/datasets"
    for owner in ("lab", "private"):
        (datasets / owner / "pairs/data").mkdir(parents=True)
        (datasets / owner / "pairs/data/0.parquet").write_bytes(b"PAR1 zero")
        (datasets / owner / "pairs/data/1.parquet").write_bytes(b"PAR1 one")
        (datasets / owner / "pairs/README.md").write_text("hello")
    program = (
        "import json, sys; from pathlib import Path\n"
        "from testbed.web.hub import ask_hub\n"
        "ask_hub(sys.argv[3], 'none')\n"
        "from retrieve_list import retrieve_list\n"
        "print(json.dumps(retrieve_list(sys.argv[1], Path(sys.argv[2]), 'none.csv')))\n"
    )

    def retrieve(address, folder, token=None):
        with serve_hub(tmp_path / "hub") as hub:
            environment = (
                scripts_environment | {"HF_HOME": str(tmp_path / "home")} | ({"HF_TOKEN": token} if token else {})
            )
            command = [sys.executable, "-c", program, address, str(folder), hub.url]
            return subprocess.run(command, env=environment, capture_output=True, text=True), hub

    return retrieve


def test_files_of_a_dataset_on_the_hub(on_the_hub, folder):
    done, hub = on_the_hub("hf://datasets/lab/pairs/data/*.parquet", folder)
    manifest = json.loads(done.stdout)
    assert contents(folder / "files") == {"data/0.parquet": b"PAR1 zero", "data/1.parquet": b"PAR1 one"}
    assert COMMIT in manifest["origins"]["data/0.parquet"]["url"]
    assert hub.tokens == [None] * len(hub.tokens)


def test_a_token_goes_to_the_hub_and_nowhere_else(on_the_hub, folder):
    refused, _ = on_the_hub("hf://datasets/private/pairs/data/0.parquet", folder)
    assert "your token" in refused.stderr
    assert "private/pairs" in refused.stderr
    done, hub = on_the_hub("hf://datasets/private/pairs/data/0.parquet", folder, token="hf_secret")
    assert done.returncode == 0, done.stderr
    asked = zip(hub.asked, hub.tokens, strict=True)
    assert {token for path, token in asked if "private/pairs" in path} == {"Bearer hf_secret"}
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert "hf_secret" not in done.stdout + done.stderr + written.decode()
    assert read_json(folder / "record.json")["files"][0]["name"] == "files/data/0.parquet"


def test_a_hub_that_cannot_be_reached_or_a_wrong_name_has_a_way_out(scripts_environment, folder):
    program = (
        "import sys; from pathlib import Path\n"
        "from testbed.web.hub import ask_hub\n"
        "ask_hub('http://127.0.0.1:9', 'none')\n"
        "from retrieve_list import retrieve_list\n"
        "retrieve_list(sys.argv[1], Path(sys.argv[2]), 'none.csv')\n"
    )
    for address, words in {
        "hf://datasets/lab/pairs/x.csv": "the Hub cannot be reached",
        "hf://datasets/lab/pairs--x/x.csv": "is no name of a dataset",
    }.items():
        command = [sys.executable, "-c", program, address, str(folder)]
        done = subprocess.run(command, env=scripts_environment, capture_output=True, text=True)
        assert f"ListRetrievalError: {address}: {words}" in done.stderr


def test_a_path_that_the_dataset_lacks_is_named(on_the_hub, folder):
    done, _ = on_the_hub("hf://datasets/lab/pairs/data/*.csv", folder)
    assert "the dataset lab/pairs has no such file. Correct the path." in done.stderr


def test_addresses():
    assert hub_parts("hf://datasets/a/b@v1/x/*.parquet") == ("a/b", "v1", "x/*.parquet")
    assert hub_parts("hf://datasets/a/b/x.tsv") == ("a/b", None, "x.tsv")
    parquet = "hf://datasets/a/b@refs/convert/parquet/default/*.parquet"
    assert hub_parts(parquet) == ("a/b", "refs/convert/parquet", "default/*.parquet")
    for address in ("cc12m", "https://host.test/a.tsv", "hf://datasets/a/b/x.tsv"):
        check_address(address, ["cc12m"])
    for address, words in {
        "cc3m": "there is no such list; write one of cc12m",
        "ftp://host.test/a": "is no address of a file on the web",
        "https://host.test": "is no address of a file on the web",
        "hf://a/b/x.tsv": "write hf://datasets/<owner>/<name>",
        "hf://datasets/a/b": "write hf://datasets/<owner>/<name>",
    }.items():
        with pytest.raises(ListError, match=words):
            check_address(address, ["cc12m"])


def test_a_star_is_in_one_folder():
    fits = {
        "data/*.parquet": ["data/0.parquet"],
        "**/*.parquet": ["data/0.parquet", "data/test/1.parquet", "2.parquet"],
        "data/**": ["data/0.parquet", "data/test/1.parquet", "data/x[1].csv"],
        "data/x[1].csv": ["data/x[1].csv"],
        "*.parquet": ["2.parquet"],
    }
    paths = ["data/0.parquet", "data/test/1.parquet", "2.parquet", "data/x[1].csv", "data/0xparquet"]
    for pattern, expected in fits.items():
        found = [path for path in paths if matches(path, pattern)]
        assert found == expected + (["data/0xparquet"] if pattern == "data/**" else []), pattern
