"""Hash every file that a manifest under results/ records, and report each that differs from its record.

In:  all results/**/manifest.json and results/metadata/*/counts.json
Out: nothing; fails if a file is missing or differs
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.records.log import log_to
from testbed.records.manifest import ManifestError, problem, read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake


class VerificationError(RuntimeError):
    """A recorded file is missing or differs."""


def records_in(content: object) -> Iterator[dict]:
    """Yield every record of a file (see `testbed.records.manifest.record`) in a manifest, at any depth."""
    if isinstance(content, dict) and {"name", "bytes", "sha256"} <= set(content):
        yield content
    elif isinstance(content, (dict, list)):
        for entry in content.values() if isinstance(content, dict) else content:
            yield from records_in(entry)


def list_problems(counts: Path, lists: list[dict]) -> Iterator[str]:
    """Yield a line for each file of a released list that differs from its record in `counts`. It may be missing."""
    for entry in lists:
        path = Path(entry["path"])
        if path.is_file() and problem(path.parent, entry | {"name": path.name}):
            yield (
                f"{path}: differs from the list that was read (SHA-256 {entry['sha256'][:12]}... in {counts}). Restore that "
                "one, or run the workflow again to read this one"
            )


def is_sharded(folder: Path, entry: dict) -> bool:
    """Return whether a recorded file was deleted because its images are in shards."""
    if not entry.get("passing") or (folder / entry["name"]).exists():
        return False
    try:
        return bool(read_json(folder / f"{entry['name'][:5]}.json").get("sharded"))
    except ManifestError:
        return False


def verify(results: Path) -> tuple[int, list[str]]:
    """Check all manifests under `results`. Return the number of checked files, and a line for each problem."""
    count, problems = 0, []
    for manifest in sorted([*results.rglob("manifest.json"), *results.glob("metadata/*/counts.json")]):
        try:
            content = read_json(manifest)
            entries = list(records_in(content))
        except ManifestError as error:
            problems.append(str(error))
            continue
        # A part after the end of a list has no files and no rows.
        # Fetched tars may be deleted; the list in counts.json names those that were read.
        if not entries and content.get("rows") != 0 and "tars" not in content and manifest.name == "manifest.json":
            problems.append(f"{manifest}: records no files; delete it and run the rule that makes it again")
        entries = [entry for entry in entries if not is_sharded(manifest.parent, entry)]
        count += len(entries)
        problems += filter(None, (problem(manifest.parent, entry) for entry in entries))
        lists = content.get("list", []) if manifest.name == "counts.json" else []
        count += len(lists)
        problems += list_problems(manifest, lists)
    return count, problems


if __name__ == "__main__":
    log_to(snakemake.log[0])
    count, problems = verify(Path(snakemake.params.results))
    for line in problems:
        logging.error(line)
    if problems:
        raise VerificationError(
            f"{len(problems)} of {count} recorded files are not as recorded. Delete each of them under results/ and the "
            "manifest.json beside it, and run the workflow again: valid files are kept."
        )
    print(f"{count} files are as their manifests record them")
