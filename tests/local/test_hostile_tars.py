"""Hundreds of damaged and hostile tars: all that they hold is accounted for, and nothing but their images is read."""

import json
import sys
from collections import Counter

import pytest

from hostile_tars import KINDS, write_hostile_tars
from index_shards import index_tar
from testbed.local.images import Storage
from testbed.local.tar_samples import CAUSES

STORAGE = Storage(image_size=256, quality=95, rotate=True, minimum_size=0, max_bytes=20_000_000, max_pixels=50_000_000)
OPTIONS = {"url": "url", "verify": "all"}
COUNT = 50 * len(KINDS)

events: list[tuple[str, tuple]] = []
is_watching = False


def watch(event: str, arguments: tuple) -> None:
    if is_watching and event.startswith(("open", "os.", "pickle", "subprocess", "shutil", "tempfile", "socket")):
        events.append((event, arguments))


# A hook of Python's auditing cannot be taken away again.
sys.addaudithook(watch)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """The hostile tars with the index and the facts of each, and what Python opened and ran while they were indexed."""
    global is_watching
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "tars").mkdir()
    tars = write_hostile_tars(folder / "tars", COUNT)
    # Modules that are imported when they are first needed are opened here, and not below.
    for tar in tars[: 8 * len(KINDS)]:
        index_tar(tar.path, tar.path.name, OPTIONS, STORAGE)
    before = sorted(path.name for path in folder.rglob("*"))
    events.clear()
    is_watching = True
    try:
        tables = [index_tar(tar.path, tar.path.name, OPTIONS, STORAGE) for tar in tars]
    finally:
        is_watching = False
    assert sorted(path.name for path in folder.rglob("*")) == before
    return [(tar, table, json.loads(table.schema.metadata[b"tar"])) for tar, table in zip(tars, tables, strict=True)]


def test_nothing_but_the_tars_is_opened_and_nothing_is_run(indexed):
    paths = {str(tar.path) for tar, _, _ in indexed}
    opened = {str(arguments[0]) for event, arguments in events if event == "open"}
    assert opened <= paths
    assert {event for event, _ in events} <= {"open"}


def test_every_image_is_kept_or_left_out_by_a_cause_or_behind_a_fault(indexed):
    for tar, table, facts in indexed:
        assert set(facts["dropped"]) <= set(CAUSES)
        assert len(table) + sum(facts["dropped"].values()) == facts["rows"], tar
        assert facts["rows"] >= tar.images or facts["fault"], (tar, facts)


def test_kinds_of_faults_have_their_causes(indexed):
    dropped, faults = {}, Counter()
    for tar, _, facts in indexed:
        dropped.setdefault(tar.kind, Counter()).update(facts["dropped"])
        faults[tar.kind] += bool(facts["fault"])
    # A tar that is cut within its end is whole, and a file of zeros is an empty tar.
    assert faults["cut"] >= 40 and faults["other_files"] >= 35
    assert dropped["repeated_keys"] == {"repeated_key": 150}
    assert set(dropped["bad_images"]) == {"not_decodable", "large"}
    assert {"malformed", "empty_caption", "long_caption"} <= set(dropped["bad_texts"])
    assert not dropped["traversal"] and not faults["traversal"]
    assert not dropped["special_members"]


def test_what_is_kept_is_an_image_with_a_caption(indexed):
    kept = 0
    for tar, table, _ in indexed:
        content = tar.path.read_bytes()
        for row in table.select(["caption", "file_offset", "file_bytes"]).to_pylist():
            image = content[row["file_offset"] : row["file_offset"] + row["file_bytes"]]
            assert len(image) == row["file_bytes"] and row["caption"].strip()
            kept += 1
    assert kept > COUNT
