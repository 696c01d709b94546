"""The lineage of results: manifests, the manifests they were derived from (`made_from`), and so on down to released lists.

Manifests are small, so they are hashed again. For the files that they record, the recorded hashes are used.
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
"""Names of the files whose own lineage is read."""

MAX_RECORDS = 5
"""The records of more files are replaced by their number and size; the manifest has them, and its SHA-256 covers them."""

MAX_LIST_FILES = 100
"""A lineage names up to this many files of a released list; RedCaps has one for each subreddit and year."""


def lineage_of(path: Path | str, recorded: str | None = None) -> dict:
    """Return the lineage of the manifest at `path`: its path, SHA-256 and facts, and what it was derived from.

    If its SHA-256 is not the `recorded` one, the node has both. If the manifest is missing, the node has `missing` and
    the recorded SHA-256.
    """
    node = read_node(str(path))
    if node is None:
        return {"path": str(path), "sha256": recorded, "missing": True}
    if recorded and recorded != node["sha256"]:
        return {"path": node["path"], "sha256": node["sha256"], "recorded_sha256": recorded} | node
    return node


@cache
def read_node(path: str) -> dict | None:
    """Return the lineage of one manifest, or None if it is missing. Cached: many models share most of their lineage."""
    try:
        content = read_json(path)
    except ManifestError as error:
        logging.warning("%s", error)
        return None
    node = {"path": path, "sha256": sha256(path)}
    for name, value in content.items():
        if name == "made_from":
            node[name] = [
                lineage_of(entry["path"], entry["sha256"]) if Path(entry["path"]).name in MANIFESTS else entry
                for entry in value
            ]
        elif name in ("files", "parts") and all(map(is_record, value)):
            node[name] = summary(Path(path).parent, value)
        elif name == "list":
            node["list_sha256"] = list_sha256(value)
            node["list"] = (
                value if len(value) <= MAX_LIST_FILES else {"number": len(value), "bytes": total_bytes(value)}
            )
        else:
            node[name] = value
    return node | ({"sources": sources_of(content)} if "composition" in content else {})


def is_record(entry: object) -> bool:
    """Return whether an entry of a manifest is the record of a file (see `testbed.records.manifest.record`)."""
    return isinstance(entry, dict) and {"name", "bytes", "sha256"} <= set(entry)


def summary(folder: Path, records: list[dict]) -> list[dict] | dict:
    """Return the records of files in `folder` with their paths; for many files, only their number and total size."""
    if len(records) > MAX_RECORDS:
        return {"number": len(records), "bytes": total_bytes(records)}
    return [
        {"path": str(folder / entry["name"])} | {name: entry[name] for name in ("bytes", "sha256")} for entry in records
    ]


def total_bytes(records: list[dict]) -> int:
    return sum(entry["bytes"] for entry in records)


@cache
def shards_in(manifest: str) -> dict[str, str]:
    """Return the SHA-256 of each shard of a source, by the shard's name."""
    return {entry["name"]: entry["sha256"] for entry in read_json(manifest)["files"]}


def sources_of(trainset: dict) -> list[dict]:
    """Return the sources of a trainset, given its manifest: the number of samples of each, and the lineage of its shards.

    The trainset records the SHA-256 of its shards. `other_shards` names those that the source has with another SHA-256.
    """
    parts = [part for entry in trainset["files"] for part in entry.get("parts", [entry])]
    sources = []
    for source, samples in trainset["composition"].items():
        path = SHARDS.format(source=source)
        shards = lineage_of(path)
        if "missing" not in shards:
            present = shards_in(path)
            # For a shard that was cut, the trainset records only the name.
            used = [(part["shard"], part.get("sha256")) for part in parts if part["source"] == source]
            other = [name for name, digest in used if present.get(name, "none") != (digest or present.get(name))]
            shards = shards | ({"other_shards": other} if other else {})
        sources.append({"source": source, "samples": samples, "shards": shards})
    return sources


def nodes(part: object) -> Iterator[dict]:
    """Yield every node of a lineage, or of a part of it, from the top down."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for below in part:
            yield from nodes(below)


def lists_of(lineage: object) -> Iterator[str]:
    """Yield the SHA-256 of each released list in a lineage (see `list_sha256`)."""
    return (node["list_sha256"] for node in nodes(lineage) if "list_sha256" in node)


def list_sha256(files: list[dict]) -> str:
    """Return the SHA-256 of a list: that of its file or, for several files, that of the output of sha256sum for them."""
    if len(files) == 1:
        return files[0]["sha256"]
    lines = [f"{entry['sha256']}  {Path(entry['path']).name}\n" for entry in files]
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def mismatches(lineage: object) -> Iterator[str]:
    """Yield the paths of manifests in a lineage that are missing or differ from what was recorded."""
    return (node["path"] for node in nodes(lineage) if {"recorded_sha256", "missing", "other_shards"} & set(node))


def reference_to(node: dict) -> dict:
    """Return the path and SHA-256 of a node, without its facts and its own lineage."""
    return {name: node[name] for name in ("path", "sha256", "recorded_sha256", "missing") if name in node}
