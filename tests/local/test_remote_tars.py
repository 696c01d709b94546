"""Tars that are fetched: their addresses, and what of them comes, stays and is refused."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from file_origin import FileOrigin
from hub import COMMIT, serve_hub
from index_shards import index_shards
from local_runs import STORAGE
from retrieve_shards import retrieve_shards
from tars import members_of, write_tar
from testbed.lists import retrieval
from testbed.lists.pairs import ListError
from testbed.lists.remote_files import ListRetrievalError
from testbed.local.files import group_names
from testbed.local.reading import Tar, check_tar
from testbed.local.remote_tars import group_of_tars, names_of_tars, tars_at
from testbed.records.files import sha256
from testbed.shards.shard_files import ShardError
from testbed.web import single_files
from verify import verify

HUB = "hf://datasets/lab/pairs-wds@v1/data/train-{0000..0002}.tar"


def test_numbers_and_words_in_braces_are_one_address_each():
    found = tars_at("https://host.test/wds/{train,test}/{008..010}.tar?download=1")
    assert [tar.name for tar in found] == [
        f"{split}/{number}.tar" for split in ("train", "test") for number in ("008", "009", "010")
    ]
    assert found[0].address == "https://host.test/wds/train/008.tar?download=1"
    assert [tar.name for tar in tars_at(HUB)] == ["train-0000.tar", "train-0001.tar", "train-0002.tar"]
    assert [tar.name for tar in tars_at("http://host.test/a%20b.tar")] == ["a b.tar"]


def test_jobs_share_the_tars():
    address = "https://host.test/{0000..0036}.tar"
    paths = names_of_tars("mine", {"retrieve": address})
    assert group_names(paths) == ["00000", "00001", "00002"]
    groups = [group_of_tars(address, group) for group in group_names(paths)]
    assert sum(groups, ()) == tars_at(address) and list(map(len, groups)) == [16, 16, 5]
    assert [str(path) for path in paths][15:17] == [
        "results/tars/mine/00000/files/0015.tar",
        "results/tars/mine/00001/files/0016.tar",
    ]


def test_a_path_comes_before_an_address(tmp_path):
    tar = write_tar(tmp_path / "a.tar", members_of(0))
    assert names_of_tars("mine", {"path": str(tmp_path), "retrieve": HUB}) == {tar: "a.tar"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://host.test/{0..3.tar", "brace without its partner"),
        ("https://host.test/{0..9999999}.tar", "more than 200,000 tar files"),
        ("https://host.test/{1,2,1}.tar", "two addresses have the same path"),
        ("https://host.test/{0..3}.zip", "is no address of a .tar file"),
        ("https://host.test/../{0..3}.tar", "is no address of a .tar file"),
        ("https://host.test/.{0..3}.tar", "is no address of a .tar file"),
        ("hf://datasets/lab/pairs/*.tar", "write their numbers in braces"),
        ("hf://lab/pairs/0.tar", "write hf://datasets/"),
        ("s3://bucket/{0..3}.tar", "is no address of a file on the web"),
        ("cc3m", "cc3m: is no address of tar files; write https://"),
        ("https://a.test/0.tar,https://a.test/1.tar", "and braces for several"),
        ("https://{a,b}.test/0.tar", "two addresses have the same path"),
        ("https://host.test/{0..3000000000}.tar", "more than 200,000 tar files"),
    ],
)
def test_what_is_no_address_of_tars_is_an_error(address, words):
    with pytest.raises(ListError, match=words):
        tars_at(address)


@pytest.fixture
def origin(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(retrieval, "OPTIONS", {"timeout": 5, "retries": 1, "backoff": 0.01})
    monkeypatch.setattr(single_files, "PIECE", 1 << 10)
    origin = FileOrigin({f"{number}.tar": bytes([number]) * 40_000 for number in range(3)})
    yield origin
    origin.close()


def test_a_restart_keeps_whole_tars_and_goes_on_in_the_cut_one(origin, tmp_path):
    folder = tmp_path / "results/tars/mine/00001"
    names = dict(tars_at(origin.url + "/{0..2}.tar"))
    origin.faults["1.tar"] = ["cut", 503]
    with pytest.raises(ListRetrievalError, match=r"1\.tar.*Or fetch the tars by hand, .* sources\.mine\.shards"):
        retrieve_shards(names, "mine", folder)
    manifest = retrieve_shards(names, "mine", folder)
    assert len(origin.asked["0.tar"]) == 1 and origin.asked["1.tar"][-1]["Range"].startswith("bytes=")
    assert [tar["number"] for tar in manifest["tars"]] == ["000016", "000017", "000018"]
    for number, tar in enumerate(manifest["tars"]):
        assert tar["url"] == f"{origin.url}/{number}.tar" and tar["bytes"] == 40_000
        assert tar["sha256"] == sha256(folder / "files" / tar["file"])
    # Fewer tars leave nothing of the others, and fetch nothing again.
    retrieve_shards(dict(tars_at(origin.url + "/{0..1}.tar")), "mine", folder)
    assert sorted(path.name for path in (folder / "files").iterdir()) == ["0.tar", "1.tar"]
    assert len(origin.asked["0.tar"]) == 1


def test_fetched_tars_may_go_once_they_are_in_shards(origin, tmp_path):
    folder, names = tmp_path / "results/tars/mine/00000", dict(tars_at(origin.url + "/{0..1}.tar"))
    manifest = retrieve_shards(names, "mine", folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "files/0.tar").unlink()
    assert verify(tmp_path / "results") == (0, [])
    used = {tar["sha256"] for tar in manifest["tars"]}
    assert retrieve_shards(names, "mine", folder, used=used) == manifest
    assert len(origin.asked["0.tar"]) == 1
    retrieve_shards(names, "mine", folder)
    assert [len(origin.asked[f"{number}.tar"]) for number in range(2)] == [2, 1]


def test_a_tar_that_is_not_the_one_that_was_fetched_is_not_indexed(origin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = write_tar(tmp_path / "0.tar", members_of(0)).read_bytes()
    origin.files["0.tar"] = content
    folder = Path("results/tars/mine/00000")
    tars = retrieve_shards(dict(tars_at(origin.url + "/0.tar")), "mine", folder)["tars"]
    index = partial(index_shards, tars, tmp_path / "indexed", {"url": "url", "verify": "none"}, STORAGE)
    (tmp_path / "indexed").mkdir()
    words = "to fetch it again, delete results/tars/mine, and run .* --forcerun retrieve_shards"
    (folder / "files/0.tar").write_bytes(content[:-1024])
    with pytest.raises(ListError, match=f"0.tar: is not the tar that was fetched; {words}"):
        index()
    (folder / "files/0.tar").unlink()
    with pytest.raises(ListError, match=f"0.tar: cannot be read .*; {words}"):
        index()
    (folder / "files/0.tar").write_bytes(content)
    assert index()["rows"] == 1


def test_a_fetched_tar_that_is_needed_again_has_a_way_back():
    with pytest.raises(
        ShardError, match="0.tar: cannot be used .*; to fetch it again, delete results/tars/mine, and run"
    ):
        check_tar(Tar(Path("results/tars/mine/00000/files/0.tar"), 40_000, "0" * 64))


def test_tars_on_the_hub_are_compared_with_its_hashes(tmp_path, scripts_environment):
    """Also in a newer version of the dataset, tars that are the same are not fetched again."""
    data = tmp_path / "hub/datasets/lab/pairs-wds/data"
    for number in range(3):
        write_tar(data / f"train-{number:04d}.tar", members_of(number))
    program = (
        "import json, sys; from pathlib import Path\n"
        "from testbed.web.hub import ask_hub\n"
        "ask_hub(sys.argv[3], 'none')\n"
        "from retrieve_shards import retrieve_shards\n"
        "from testbed.local.remote_tars import tars_at\n"
        "print(json.dumps(retrieve_shards(dict(tars_at(sys.argv[1])), 'mine', Path(sys.argv[2]))))\n"
    )

    def retrieve(address):
        with serve_hub(tmp_path / "hub") as hub:
            command = [sys.executable, "-c", program, address, str(tmp_path / "00000"), hub.url]
            environment = scripts_environment | {"HF_HOME": str(tmp_path / "home")}
            return subprocess.run(command, env=environment, capture_output=True, text=True), hub.asked

    done, asked = retrieve(HUB)
    tars = json.loads(done.stdout)["tars"]
    assert [tar["sha256"] for tar in tars] == [sha256(path) for path in sorted(data.iterdir())]
    assert all(COMMIT in tar["url"] for tar in tars) and any("/v1" in path for path in asked)
    # The Hub is not asked for what is there. In another version, tars with the same hashes are not fetched.
    done, asked = retrieve(HUB)
    assert json.loads(done.stdout)["tars"] == tars and asked == []
    done, asked = retrieve(HUB.replace("@v1", "@v2"))
    again = json.loads(done.stdout)["tars"]
    assert [tar["sha256"] for tar in again] == [tar["sha256"] for tar in tars]
    assert any("/v2" in path for path in asked) and not any("/resolve/" in path for path in asked)
    done, _ = retrieve(HUB.replace("0002", "0003"))
    assert "train-0003.tar: the dataset lab/pairs-wds has no such file. Correct the path." in done.stderr
