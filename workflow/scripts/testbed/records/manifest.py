"""Manifests: small records of complete files. A job writes its manifest last and atomically."""

import hashlib
import json
from pathlib import Path

from testbed.records.files import publish, sha256


class ManifestError(ValueError):
    """A manifest, or a file that it records, is missing or invalid."""


def write_json(path: Path | str, content: dict) -> None:
    """Write `content` as JSON to `path` atomically: after a crash there is the old file or the complete new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    publish(temporary, path)


def read_json(path: Path | str) -> dict:
    """Return the content of the JSON file at `path`. Raises `ManifestError` if it is missing or truncated."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: is missing; run the rule that makes it again") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: is not JSON ({error}); delete it and run the rule that makes it again") from error


def digest(content: object) -> str:
    """Return the SHA-256 of `content` as JSON, as 64 hex digits. Equal content has an equal digest."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def record(path: Path | str, **facts) -> dict:
    """Return the record of one complete file: its name, size in bytes, SHA-256, and any further `facts`."""
    path = Path(path)
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path), **facts}


def problem(folder: Path | str, entry: dict, content: bool = True) -> str | None:
    """Return what is wrong with the file that `entry` records in `folder`, or None if the file is as recorded.

    With `content=False` only the size is compared, which is fast for files of any size.
    """
    path = Path(folder) / entry["name"]
    if not path.is_file():
        return f"{path}: is missing"
    if path.stat().st_size != entry["bytes"]:
        return f"{path}: has {path.stat().st_size} bytes, its record says {entry['bytes']}"
    if content and sha256(path) != entry["sha256"]:
        return f"{path}: its SHA-256 is not the recorded {entry['sha256'][:12]}..."
    return None
