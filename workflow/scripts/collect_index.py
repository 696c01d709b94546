"""Collect the indices of all tars or files of a source into one list of usable pairs, as prepare_metadata writes it.

In:  the manifests of the source's indexed groups
Out: ``pairs.parquet`` with uid, url, caption, where the sample is, and its own columns, in the order of the tars;
     ``counts.json`` with the samples of the tars, those kept, those left out by cause, the tars that are cut or damaged,
     and the records of the tars and of ``pairs.parquet``
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from prepare_metadata import Counts, drop_duplicates
from testbed.experiment.experiment import Experiment
from testbed.lists.pairs import PARQUET, ListError
from testbed.local.tables import conformed, merged_columns
from testbed.local.tar_samples import CAUSES
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import problem, read_json, record, write_json
from testbed.records.processes import terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake


def indexed_tables(folders: Sequence[Path], manifests: Sequence[dict]) -> dict[Path, dict]:
    """Return the tables of all tars in order, and the path of each tar, with its address if it was fetched.

    Raises `ListError` if a table is not as its record says.
    """
    tables = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        for file, tar in zip(manifest["files"], manifest["tars"], strict=True):
            if wrong := problem(folder, file, content=False):
                raise ListError(f"{wrong}; delete {folder}/manifest.json and run the same command again")
            tables[folder / file["name"]] = {key: tar[key] for key in ("path", "url") if key in tar}
    return tables


def collect_index(
    source: str, folders: Sequence[Path], output: Path, needed: int, memory: str = "1GB", threads: int = 1
) -> dict:
    """Write the usable samples that are indexed in `folders` to the parquet file `output`, and return the counts.

    Of samples with equal uids the first is kept. DuckDB uses at most `memory`. Raises `ListError` if there is no usable one,
    or if there are fewer than `needed`, the largest number that a trainset takes from the source.
    """
    manifests = [read_json(folder / "manifest.json") for folder in folders]
    tables = indexed_tables(folders, manifests)
    schemas = [parquet.read_schema(table) for table in tables]
    tars = [json.loads(schema.metadata[b"tar"]) for schema in schemas]
    counts = Counts(rows=sum(tar["rows"] for tar in tars))
    for tar in tars:
        counts.dropped.update(tar["dropped"])
    unreadable = {tar["file"]: tar["fault"] for tar in tars if tar["fault"]}
    if not counts.kept:
        raise ListError(
            f"source {source}: none of {counts.rows:,} samples on disk is usable; "
            f"{describe(counts.dropped, unreadable)}"
        )
    # Images with files of their own lie below a folder.
    base = [{"base": manifest["base"]} for manifest in manifests if "base" in manifest][:1]
    form = "files" if base else "shards"
    work = output.with_name(f".{output.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        write_tables(conformed_tables(list(tables), schemas), work / "staged.parquet")
        pairs = drop_duplicates(work, counts, memory, threads)
        if counts.kept < needed:
            raise ListError(
                f"source {source}: {counts.kept:,} samples on disk are usable, but its trainsets, mixtures and filters need "
                f"{needed:,}; lower the sizes that use it, or add samples to sources.{source}.{form}; "
                f"{describe(counts.dropped, unreadable)}"
            )
        publish(pairs, output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if unreadable or counts.dropped.total():
        logging.warning("source %s: %s", source, describe(counts.dropped, unreadable))
    members = sum((Counter(tar["members"]) for tar in tars), Counter())
    lists = [entry for manifest in manifests for entry in manifest.get("lists", [])]
    return (base[0] if base else {}) | {
        "format": form,
        "rows": counts.rows,
        "kept": counts.kept,
        "dropped": {cause: counts.dropped[cause] for cause in CAUSES},
        "verified": sum(tar["verified"] for tar in tars),
        "unreadable": unreadable,
        "other_members": dict(sorted(members.items())),
        "list": lists
        + [
            place | {key: tar[key] for key in ("file", "bytes", "sha256", "rows")}
            for place, tar in zip(tables.values(), tars, strict=True)
        ],
    }


def conformed_tables(paths: Sequence[Path], schemas: Sequence[pa.Schema]) -> Iterator[pa.Table]:
    """Yield the tables at `paths` with the same columns."""
    columns = merged_columns(schemas)
    for path in paths:
        yield conformed(parquet.read_table(path), columns)


def write_tables(tables: Iterator[pa.Table], path: Path) -> None:
    """Write tables with the same columns to one parquet file."""
    first = next(tables)
    with parquet.ParquetWriter(path, first.schema, **PARQUET) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def describe(dropped: Counter, unreadable: dict[str, str]) -> str:
    """Return as text what is left out: samples by cause, with what to do about the most frequent one, and tars."""
    found = [(cause, count) for cause, count in dropped.most_common() if count]
    parts = []
    if found:
        cause = found[0][0]
        counts = ", ".join(f"{name} {count:,}" for name, count in found)
        parts.append(f"samples left out: {counts}. {cause}: {CAUSES[cause]}")
    if unreadable:
        tar, fault = next(iter(unreadable.items()))
        parts.append(f"tars that are not whole: {len(unreadable):,}, the first {tar}, which {fault}")
    return ". ".join(parts) or "no sample is left out"


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    output, source = Path(snakemake.output.pairs), snakemake.wildcards.source
    with locked(output.parent):
        content = collect_index(
            source,
            [Path(manifest).parent for manifest in snakemake.input.indices],
            output,
            # This is not a parameter, because a change of sizes must not collect the index again.
            needed=Experiment(snakemake.config).needed(source),
            memory=snakemake.config["shuffle"]["memory"],
            threads=snakemake.threads,
        )
        write_json(snakemake.output.counts, content | {"files": [record(output)]})
