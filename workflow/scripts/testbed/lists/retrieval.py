"""Retrieve files from their addresses, and check their sizes, their SHA-256, and what kind of file came.

A restarted retrieval keeps complete files, and goes on in the middle of the file that was cut.
"""

import logging
import shutil
import zipfile
import zlib
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from testbed.lists.remote_files import ListRetrievalError, Remote
from testbed.records.files import publish, sha256
from testbed.records.log import PROGRESS
from testbed.records.manifest import ManifestError, problem, read_json, record, write_json
from testbed.records.provenance import now
from testbed.web.single_files import FetchError, fetch, open_pool

OPTIONS = {"timeout": 60, "retries": 5, "backoff": 5}
UNPACK = "Unpack it by hand, and give its folder as path."
PAGES = (b"<!doctype html", b"<html")
"""How a web page begins that a server sends in place of a file, such as a login page."""


@dataclass
class Retrieval:
    """The retrieval of `address` into `folder`, with a `record.json` of its state.

    `by_hand` is the sentence of an error that says how to do without it. `files` has the records of complete files by name,
    `origins` the addresses and SHA-256 of what was fetched, and `fetched` the addresses of what is whole but not yet checked
    and unpacked. Complete files may be missing if their SHA-256 is in `used`: what they were fetched for is made of them.
    """

    folder: Path
    address: str
    proxy: str
    by_hand: str
    used: Container[str] = ()
    files: dict[str, dict] = field(default_factory=dict)
    origins: dict[str, dict] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            known = read_json(self.folder / "record.json")
        except ManifestError:
            return
        if known["address"] == self.address:
            self.files = {file["name"]: file for file in known["files"]}
            self.origins, self.fetched = known["origins"], known["fetched"]

    def get(self, remote: Remote) -> list[str]:
        """Fetch a file, unless it is there, check and unpack it, and return the names of what it gave."""
        if self.has(remote.name) and is_same(self.origins[remote.name], remote):
            logging.info("%s: kept", remote.name)
            self.origins[remote.name] |= {"url": remote.url, "address": remote.address}
            self.save()
            return self.origins[remote.name]["gave"]
        path = self.folder / "files" / remote.name
        if self.fetched.get(remote.name) != remote.url or not path.is_file():
            self.fetch(remote, path)
            self.fetched[remote.name] = remote.url
            self.save()
        digest = self.check(remote, path)
        gave = [f"files/{name}" for name in unpack(path)] if remote.packed else [f"files/{remote.name}"]
        for name in gave:
            self.files[name] = record(self.folder / name) | {"name": name}
        status = path.stat()
        origin = {"url": remote.url, "sha256": digest, "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
        origin |= {"address": remote.address, "retrieved": now(), "gave": gave}
        self.origins[remote.name] = origin
        del self.fetched[remote.name]
        self.save()
        if remote.packed:
            path.unlink()
        logging.log(PROGRESS, "%s: fetched %s, %.1f MB", self.folder.name, remote.name, origin["bytes"] / 1e6)
        return gave

    def has(self, name: str) -> bool:
        """Return whether the file of a `Remote` with this name was fetched, and what it gave is there or has been used."""
        known = self.origins.get(name)
        return bool(known) and (known["sha256"] in self.used or not any(map(self.problem, known["gave"])))

    def has_from(self, address: str, name: str) -> bool:
        """Return the same of a file that was fetched because of `address`."""
        return self.origins.get(name, {}).get("address") == address and self.has(name)

    def save(self) -> None:
        content = {"address": self.address, "fetched": self.fetched, "origins": self.origins}
        write_json(self.folder / "record.json", content | {"files": list(self.files.values())})

    def problem(self, name: str) -> str | None:
        return problem(self.folder, self.files[name]) if name in self.files else f"{name} is missing"

    def fetch(self, remote: Remote, path: Path) -> None:
        try:
            status = fetch(open_pool(remote.url, self.proxy), remote.url, path, OPTIONS, remote.headers)
        except OSError as error:
            raise not_written(path, error) from error
        except FetchError as error:
            raise ListRetrievalError(
                f"{error}. Run the same command again: it goes on where this one stopped. {self.by_hand}"
            ) from error
        if status in (401, 403):
            raise ListRetrievalError(
                f"{remote.url}: responds with HTTP {status}: you may not read it. Ask for permission on its page, and set "
                f"your token (huggingface-cli login, or HF_TOKEN). {self.by_hand}"
            )
        if status != 200:
            raise ListRetrievalError(f"{remote.url}: responds with HTTP {status}. Correct the address. {self.by_hand}")

    def check(self, remote: Remote, path: Path) -> str:
        """Return the SHA-256 of a fetched file; delete it and raise `ListRetrievalError` if it is not what it should be."""
        size, digest = path.stat().st_size, sha256(path)
        with open(path, "rb") as file:
            is_page = file.read(64).lstrip().lower().startswith(PAGES)
        wrong = None
        if is_page:
            wrong = "is a web page, such as a login page or a proxy's"
        elif remote.sha256 and digest != remote.sha256:
            wrong = f"has the SHA-256 {digest} instead of {remote.sha256}"
        elif remote.bytes is not None and size != remote.bytes:
            wrong = f"has {size:,} bytes instead of {remote.bytes:,}"
        elif remote.packed and not zipfile.is_zipfile(path):
            wrong = "is no zip archive"
        if wrong:
            path.unlink()
            raise ListRetrievalError(
                f"{remote.url}: what came {wrong}. If the file itself has changed and released_lists has it, correct its "
                f"row there; otherwise run the same command again. {self.by_hand}"
            )
        if not remote.sha256:
            logging.log(PROGRESS, "%s: no SHA-256 is known, so it is recorded and not checked: %s", remote.name, digest)
        return digest


def is_same(origin: dict, remote: Remote) -> bool:
    """Return whether what came from `origin` is the file `remote`. A dataset's next version may have it at a new address."""
    return origin["url"] == remote.url or origin["sha256"] == remote.sha256


def unpack(archive: Path) -> list[str]:
    """Unpack the JSON files of a zip archive into its folder, without their folders, and return their names, sorted.

    Raises `ListRetrievalError` if two have one name, or the archive cannot be unpacked. A damaged archive is deleted.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                # The name alone: nothing is written outside of the folder.
                name = member.filename.replace("\\", "/").rpartition("/")[2]
                if not name.endswith(".json") or name.startswith("."):
                    continue
                if name in members:
                    raise ListRetrievalError(f"{archive}: has {name} twice. {UNPACK}")
                members[name] = member
            for name, member in members.items():
                temporary = archive.with_name(f".{name}.tmp")
                with open_member(packed, member) as source, open(temporary, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                publish(temporary, archive.with_name(name))
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        archive.unlink()
        raise ListRetrievalError(
            f"{archive}: is a damaged zip archive ({error}). Run the same command again to fetch it again."
        ) from error
    except OSError as error:
        raise not_written(archive, error) from error
    if not members:
        raise ListRetrievalError(f"{archive}: has no JSON file. {UNPACK}")
    return sorted(members)


def open_member(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file of an archive. Raises `ListRetrievalError` if it is encrypted, or packed in a way that Python lacks."""
    try:
        return packed.open(member)
    except (NotImplementedError, RuntimeError) as error:
        raise ListRetrievalError(
            f"{packed.filename}: {member.filename} cannot be unpacked ({error}). {UNPACK}"
        ) from error


def not_written(path: Path, error: OSError) -> ListRetrievalError:
    return ListRetrievalError(
        f"{path}: cannot be written ({error}). Free disk space, and run the same command again: it goes on where this one "
        "stopped."
    )
