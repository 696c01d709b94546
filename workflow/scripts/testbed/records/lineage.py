"""Follow manifests to what they were made from (`made_from`), down to released lists, and find the links that are broken.

Manifests are small and hashed again; of the files that they record, the recorded hashes are taken.
"""

import hashlib
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from testbed.records.files import sha256
from testbed.records.manifest import ManifestError, read_json

SHARDS = "results/shards/{source}/manifest.json"

MANIFESTS = {"manifest.json", "counts.json"}
"""Names of the files that are followed to what they were made from."""

SHOWN = 5
"""Records of more files than these are summed up; their manifest has them, and its SHA-256 stands for them."""

LISTED = 100
"""Files of a released list that a chain names each; RedCaps has one for each subreddit and year."""


def follow(path: Path | str, recorded: str | None = None) -> dict:
    """The chain from the manifest at `path` down: its path, SHA-256, facts, and what it was made from.

    Where its SHA-256 is not the `recorded` one, that stands beside it: the link is broken. A manifest that is missing
    has `missing` and the recorded SHA-256.
    """
    node = read_node(str(path))
    if node is None:
        return {"path": str(path), "sha256": recorded, "missing": True}
    if recorded and recorded != node["sha256"]:
        return {"path": node["path"], "sha256": node["sha256"], "recorded_sha256": recorded} | node
    return node


@cache
def read_node(path: str) -> dict | None:
    """What `follow` gives for one manifest, or None where it is missing. Many models share most of their chains."""
    try:
        content = read_json(path)
    except ManifestError as error:
        logging.warning("%s", error)
        return None
    node = {"path": path, "sha256": sha256(path)}
    for name, value in content.items():
        if name == "made_from":
            node[name] = [
                follow(entry["path"], entry["sha256"]) if Path(entry["path"]).name in MANIFESTS else entry
                for entry in value
            ]
        elif name in ("files", "parts") and all(map(is_record, value)):
            node[name] = summary(Path(path).parent, value)
        elif name == "list":
            node["list_sha256"] = list_sha256(value)
            node["list"] = value if len(value) <= LISTED else {"number": len(value), "bytes": total_bytes(value)}
        else:
            node[name] = value
    return node | ({"sources": sources_of(content)} if "composition" in content else {})


def is_record(entry: object) -> bool:
    """Whether an entry of a manifest is the record of a file (see `testbed.manifest.record`)."""
    return isinstance(entry, dict) and {"name", "bytes", "sha256"} <= set(entry)


def summary(folder: Path, records: list[dict]) -> list[dict] | dict:
    """Records of files in `folder` with their paths, or of many files their number and size."""
    if len(records) > SHOWN:
        return {"number": len(records), "bytes": total_bytes(records)}
    return [
        {"path": str(folder / entry["name"])} | {name: entry[name] for name in ("bytes", "sha256")} for entry in records
    ]


def total_bytes(records: list[dict]) -> int:
    return sum(entry["bytes"] for entry in records)


@cache
def shards_in(manifest: str) -> dict[str, str]:
    """The SHA-256 of each shard of a source by its name."""
    return {entry["name"]: entry["sha256"] for entry in read_json(manifest)["files"]}


def sources_of(trainset: dict) -> list[dict]:
    """The sources of a trainset, given its manifest: how many samples of each, and the chain from its shards down.

    A trainset names its shards by content. Those that the source has otherwise by now break the link (`other_shards`).
    """
    parts = [part for entry in trainset["files"] for part in entry.get("parts", [entry])]
    sources = []
    for source, samples in trainset["composition"].items():
        path = SHARDS.format(source=source)
        shards = follow(path)
        if "missing" not in shards:
            there = shards_in(path)
            # Of a shard that was cut the trainset knows nothing but the name.
            taken = [(part["shard"], part.get("sha256")) for part in parts if part["source"] == source]
            other = [name for name, digest in taken if there.get(name, "none") != (digest or there.get(name))]
            shards = shards | ({"other_shards": other} if other else {})
        sources.append({"source": source, "samples": samples, "shards": shards})
    return sources


def nodes(part: object) -> Iterator[dict]:
    """Every node of a chain, or of a part of one, from the top down."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for below in part:
            yield from nodes(below)


def lists_of(chain: object) -> Iterator[str]:
    """The SHA-256 of each released list in a chain (see `list_sha256`)."""
    return (node["list_sha256"] for node in nodes(chain) if "list_sha256" in node)


def list_sha256(files: list[dict]) -> str:
    """The SHA-256 of a list: its file's, or of several files that of what sha256sum prints of them in their folder."""
    if len(files) == 1:
        return files[0]["sha256"]
    lines = [f"{entry['sha256']}  {Path(entry['path']).name}\n" for entry in files]
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def breaks(chain: object) -> Iterator[str]:
    """Paths of the links of a chain that do not hold: manifests that are missing or are not as recorded."""
    return (node["path"] for node in nodes(chain) if {"recorded_sha256", "missing", "other_shards"} & set(node))


def link_of(node: dict) -> dict:
    """A node of a chain without what is below it."""
    return {name: node[name] for name in ("path", "sha256", "recorded_sha256", "missing") if name in node}
