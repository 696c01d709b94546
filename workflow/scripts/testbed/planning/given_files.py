"""Checks of the user's files that an experiment names: released lists, test sets, lists of entries, checkpoints.

Each function yields a line for each file that is missing or has another format than the experiment says.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from testbed.evaluation.tasks import check_testset
from testbed.experiment.errors import ExperimentError, did_you_mean
from testbed.experiment.filter_checks import WITHOUT_FILE
from testbed.filtering.entry_lists import EntryError, find_lists
from testbed.filtering.subsets import subset_problems
from testbed.lists.addresses import check_address, listed_names
from testbed.lists.pairs import ListError
from testbed.lists.released import check_length, check_list
from testbed.lists.sources import origin_of
from testbed.local.files import check_files
from testbed.local.remote_tars import names_of_tars
from testbed.models.networks import published_tags
from testbed.records.shipped import shipped

RELEASED = "resources/sources.csv"


def source_problems(config: Mapping) -> Iterator[str]:
    """Yield a line for each problem with the lists, tars and files of an experiment's sources."""
    for name, source in config["sources"].items():
        # A list that has been read is no longer needed.
        metadata = source.get("metadata", {})
        if "miniweb" in metadata or Path(f"results/metadata/{name}/pairs.parquet").is_file():
            continue
        if "metadata" not in source:
            yield from local_problems(name, source)
        elif "path" in metadata:
            yield from list_problems(name, metadata)
        else:
            yield from address_problems(name, metadata["retrieve"], config["released_lists"])


def file_problems(config: Mapping) -> Iterator[str]:
    """Yield a line for each problem with the files of an experiment."""
    yield from source_problems(config)
    for name, testset in config["testsets"].items():
        if "path" in testset:
            yield from testset_problems(name, testset["path"])
    for name, entry in config["filters"].items():
        yield from entry_problems(name, entry.get("entries", []))
        yield from selection_problems(name, entry)
        yield from checkpoint_problems(f"filters.{name}.teacher", entry.get("teacher", {}), f"results/teachers/{name}")
    teacher = config["similarity"].get("teacher", {})
    yield from checkpoint_problems("similarity.teacher", teacher, "results/similarity_teacher")
    for name, entry in config["pretrained"].items():
        yield from checkpoint_problems(f"pretrained.{name}", entry, f"results/pretrained/{name}")


def address_problems(source: str, address: str, table: str) -> Iterator[str]:
    """Yield a line if a source's list cannot be fetched from `address`; `table` has the lists with names."""
    try:
        check_address(address, listed_names(table))
    except ListError as error:
        yield f"sources.{source}.metadata.retrieve: {error}."


def list_problems(source: str, metadata: Mapping, needed: int = 0) -> Iterator[str]:
    """Yield a line for each problem with a source's list. Its trainsets need `needed` samples."""
    try:
        # A path comes before an address.
        given = {key: value for key, value in metadata.items() if key != "retrieve"}
        check_list(**given)
        if needed:
            check_length(**given, needed=needed)
    except ListError as error:
        yield f"sources.{source}.metadata: {error}{origin_of(RELEASED, metadata['format'])}"


def local_problems(source: str, entry: Mapping) -> Iterator[str]:
    """Yield a line for each problem with the tars or files of a source with this `entry`."""
    key = "shards" if "shards" in entry else "files"
    try:
        if key == "shards":
            names_of_tars(source, entry[key])
        else:
            check_files(entry[key]["path"], entry[key])
    except ListError as error:
        yield f"sources.{source}.{key}: {error}."


def table_problems(config: Mapping) -> Iterator[str]:
    """Yield a line for each missing table that fetched files are checked against."""
    tables = {"testset_origin.table": config["testset_origin"]["table"]}
    tables |= {key: config[key] for key in ("published_tables", "released_lists")}
    for key, path in tables.items():
        if not Path(shipped(path)).is_file():
            yield f"{key}: {path}: there is no such file. Put the table there, or correct the path."


def testset_problems(testset: str, folder: str) -> Iterator[str]:
    try:
        check_testset(testset, folder)
    except ExperimentError as error:
        yield str(error)


def spelling_problems(testset: str, name: str, table: Path | str) -> Iterator[str]:
    """Yield a line if `name` differs from a test set of `table` in hyphens and underscores alone.

    Other names that the table lacks may exist.
    """
    if not Path(shipped(table)).is_file():
        return
    with open(shipped(table), newline="", encoding="utf-8") as file:
        known = [row["retrieve"] for row in csv.DictReader(file)]
    alike = [one for one in known if one.replace("-", "_") == name.replace("-", "_")]
    if alike and name not in alike:
        yield f"testsets.{testset}.retrieve: {name}: there is no such test set. Did you mean {alike[0]}?"


def entry_problems(filter: str, lists: list[Mapping]) -> Iterator[str]:
    for index, entry in enumerate(lists):
        try:
            if "path" in entry and entry["kind"] not in WITHOUT_FILE:
                find_lists(entry["path"])
        except EntryError as error:
            yield f"filters.{filter}.entries.{index}.path: {error}."


def selection_problems(filter: str, entry: Mapping) -> Iterator[str]:
    """Yield a line for each problem with the table or the list of uids that a filter selects by."""
    # DuckDB is slow to import, and most experiments do not need it here.
    if "columns_from" in entry:
        from testbed.filtering.user_tables import table_problems as problems_of_table

        yield from (f"filters.{filter}.columns_from: {line}" for line in problems_of_table(entry["columns_from"]))
    if "path" in entry:
        yield from (f"filters.{filter}.path: {line}" for line in subset_problems(entry["path"]))


def checkpoint_problems(key: str, entry: Mapping, product: str) -> Iterator[str]:
    path = entry.get("checkpoint")
    # A checkpoint that has been copied to results/ is no longer needed.
    if path and not Path(path).is_file() and not Path(product, "manifest.json").is_file():
        yield f"{key}.checkpoint: {path}: there is no such file. Put it there, or correct the path."
    known, tag = published_tags().get(entry.get("model", ""), []), entry.get("tag")
    # As open_clip reads a tag.
    if known and tag and tag.lower().replace("-", "_") not in known:
        yield (
            f"{key}.tag: open_clip has no weights {tag} of {entry['model']}.{did_you_mean(tag, known)} It has "
            f"{', '.join(known)}."
        )
