"""Fetched lists: whole and right files only, what came is kept, and each refusal says what to do."""

import hashlib
import io
import zipfile
from collections.abc import Iterator

import pytest

from file_origin import FileOrigin
from retrieve_list import retrieve_list
from testbed.lists import retrieval as module
from testbed.lists.remote_files import ListRetrievalError
from testbed.records.manifest import problem
from testbed.web import single_files

LINES = b"http://host.test/1.jpg\ta cat\n" * 5_000


@pytest.fixture
def origin(monkeypatch) -> Iterator[FileOrigin]:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "OPTIONS", {"timeout": 5, "retries": 1, "backoff": 0.01})
    monkeypatch.setattr(single_files, "PIECE", 1 << 10)
    origin = FileOrigin({"a.tsv": LINES, "b.tsv": LINES[::-1]})
    yield origin
    origin.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results/lists/mine"


def table_of(tmp_path, origin, *names, sha256="", size="") -> str:
    path = tmp_path / "lists.csv"
    rows = [f"mine,cc12m,{name},{origin.url}/{name},{size},{sha256},here" for name in names]
    path.write_text("\n".join(["list,format,file,url,bytes,sha256,origin", *rows]) + "\n")
    return str(path)


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


# What is compressed begins after the header and the name.
DAMAGED = archive({"a.json": LINES}, zipfile.ZIP_DEFLATED)
DAMAGED = DAMAGED[:36] + b"\xff" * 20 + DAMAGED[56:]


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_all_files_of_a_list_come_with_their_hashes(origin, folder, tmp_path):
    manifest = retrieve_list("mine", folder, table_of(tmp_path, origin, "a.tsv", "b.tsv"))
    assert [file["name"] for file in manifest["files"]] == ["files/a.tsv", "files/b.tsv"]
    assert [problem(folder, file) for file in manifest["files"]] == [None, None]
    assert contents(folder / "files") == {"a.tsv": LINES, "b.tsv": LINES[::-1]}
    assert manifest["origins"]["a.tsv"]["sha256"] == hashlib.sha256(LINES).hexdigest()
    assert manifest["origins"]["a.tsv"]["url"] == f"{origin.url}/a.tsv"


def test_a_restart_keeps_whole_files_and_continues_the_cut_one(origin, folder, tmp_path):
    table = table_of(tmp_path, origin, "a.tsv", "b.tsv")
    origin.faults["b.tsv"] = ["cut", 503]
    with pytest.raises(ListRetrievalError, match="it goes on where this one stopped.*sources.mine.metadata"):
        retrieve_list("mine", folder, table)
    retrieve_list("mine", folder, table)
    assert len(origin.asked["a.tsv"]) == 1
    assert origin.asked["b.tsv"][-1]["Range"].startswith("bytes=")
    assert contents(folder / "files") == {"a.tsv": LINES, "b.tsv": LINES[::-1]}


def test_a_changed_file_is_fetched_again(origin, folder, tmp_path):
    table = table_of(tmp_path, origin, "a.tsv")
    retrieve_list("mine", folder, table)
    (folder / "files/a.tsv").write_bytes(b"x" * len(LINES))
    retrieve_list("mine", folder, table)
    assert contents(folder / "files") == {"a.tsv": LINES}


def test_another_address_leaves_nothing_of_the_former(origin, folder, tmp_path):
    retrieve_list("mine", folder, table_of(tmp_path, origin, "a.tsv"))
    manifest = retrieve_list(f"{origin.url}/b.tsv?download=1", folder, table_of(tmp_path, origin, "a.tsv"))
    assert contents(folder / "files") == {"b.tsv": LINES[::-1]}
    assert [file["name"] for file in manifest["files"]] == ["files/b.tsv"]


@pytest.mark.parametrize(
    ("facts", "faults", "words"),
    [
        ({"sha256": "0" * 64}, [], ["has the SHA-256", "instead of 0000", "released_lists"]),
        ({"size": 7}, [], ["145,000 bytes instead of 7"]),
        ({}, ["login"], ["is a web page, such as a login page"]),
        ({}, [403], ["HTTP 403: you may not read it", "HF_TOKEN"]),
        ({}, [404], ["HTTP 404. Correct the address", "give its path in sources.mine.metadata"]),
        ({}, ["cut", "cut"], ["in 2 attempts", "IncompleteRead"]),
    ],
    ids=["hash", "size", "login", "forbidden", "gone", "cut"],
)
def test_what_is_wrong_is_said_and_not_kept(origin, folder, tmp_path, facts, faults, words):
    origin.faults["a.tsv"] = faults
    with pytest.raises(ListRetrievalError) as caught:
        retrieve_list("mine", folder, table_of(tmp_path, origin, "a.tsv", **facts))
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (folder / "files/a.tsv").exists()


def test_the_known_hash_is_checked(origin, folder, tmp_path):
    digest = hashlib.sha256(LINES).hexdigest()
    manifest = retrieve_list("mine", folder, table_of(tmp_path, origin, "a.tsv", sha256=digest, size=len(LINES)))
    assert manifest["origins"]["a.tsv"]["sha256"] == digest


def test_an_archive_is_unpacked_without_its_folders(origin, folder, tmp_path):
    members = {
        "annotations/cats_2019.json": b"{}",
        "../../evil_2020.json": b"[]",
        "readme.txt": b"no",
        ".hidden.json": b"",
    }
    origin.files["all.zip"] = archive(members)
    table = table_of(tmp_path, origin, "all.zip")
    manifest = retrieve_list("mine", folder, table)
    assert contents(folder / "files") == {"cats_2019.json": b"{}", "evil_2020.json": b"[]"}
    assert [file["name"] for file in manifest["files"]] == ["files/cats_2019.json", "files/evil_2020.json"]
    retrieve_list("mine", folder, table)
    assert len(origin.asked["all.zip"]) == 1
    assert list(tmp_path.rglob("evil*")) == [folder / "files/evil_2020.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "is no zip archive"),
        (archive({"a/x.json": b"1", "b/x.json": b"2"}), "has x.json twice"),
        (archive({"readme.txt": b""}), "has no JSON file"),
        (archive({"a.json": b"12345678"}).replace(b"12345678", b"12345679"), "is a damaged zip archive"),
        (DAMAGED, "is a damaged zip archive"),
    ],
    ids=["none", "twice", "empty", "other bytes", "damaged"],
)
def test_bad_archives_are_named(origin, folder, tmp_path, content, words):
    origin.files["all.zip"] = content
    with pytest.raises(ListRetrievalError, match=f"^[^(]*{words}"):
        retrieve_list("mine", folder, table_of(tmp_path, origin, "all.zip"))


def test_an_archive_that_python_cannot_unpack_is_kept_and_has_a_way_out(origin, folder, tmp_path):
    encrypted = bytearray(archive({"a.json": b"{}"}))
    # Bit 0 of the flags, in the member's header and in the directory (APPNOTE 4.4.4).
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    origin.files["all.zip"] = bytes(encrypted)
    with pytest.raises(ListRetrievalError, match=r"a\.json cannot be unpacked .*encrypted.*Unpack it by hand"):
        retrieve_list("mine", folder, table_of(tmp_path, origin, "all.zip"))
    assert (folder / "files/all.zip").read_bytes() == encrypted


def test_a_kill_after_the_last_byte_fetches_nothing_again(origin, folder, tmp_path, monkeypatch):
    table = table_of(tmp_path, origin, "a.tsv")

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "sha256", killed)
        retrieve_list("mine", folder, table)
    assert retrieve_list("mine", folder, table)["origins"]["a.tsv"]["bytes"] == len(LINES)
    assert len(origin.asked["a.tsv"]) == 1


@pytest.mark.parametrize("name", ["..", "..%2F..%2Fevil.tsv", ".hidden.tsv", "a%5Cb.tsv"])
def test_names_that_lead_elsewhere_or_are_hidden_are_refused(origin, folder, tmp_path, name):
    with pytest.raises(ListRetrievalError, match="cannot be the name of a file of a list"):
        retrieve_list(f"{origin.url}/{name}", folder, table_of(tmp_path, origin, "a.tsv"))
    assert not origin.asked


def test_a_table_with_one_name_twice_is_refused(origin, folder, tmp_path):
    with pytest.raises(ListRetrievalError, match="is called a.tsv, like another file"):
        retrieve_list("mine", folder, table_of(tmp_path, origin, "a.tsv", "a.tsv"))


def test_an_unknown_list_says_what_to_write(folder, origin, tmp_path):
    with pytest.raises(ListRetrievalError, match="has no list 'flickr'.*hf://datasets"):
        retrieve_list("flickr", folder, table_of(tmp_path, origin, "a.tsv"))
