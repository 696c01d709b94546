"""The estimated cost of the stages of sources from local files: how many samples they have, and what reading them takes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import is_linked, is_local
from testbed.lists.pairs import ListError
from testbed.lists.released import count_rows
from testbed.local.file_samples import folders_of
from testbed.local.files import check_files, find_tars, format_of_list, group_names
from testbed.local.remote_tars import is_fetched, names_of_tars
from testbed.local.tar_members import TarFault, TarReader
from testbed.local.tar_samples import IMAGE_SUFFIXES
from testbed.planning.stages import HOUR, Expected, Length, Stage, counted

MEMBERS = 3000
"""Members of a tar that are read to estimate how many samples a source has."""


def length_of_local(source: str, entry: Mapping) -> Length | None:
    """Return the number of samples of a source of tars or files with this `entry`; None if it is unknown.

    It is counted if they are indexed. Or else that of tars is estimated from the bytes of the first samples of a tar, and
    that of files is the number of images or rows. Of tars that are fetched it is unknown before.
    """
    if length := counted(source):
        return length
    if is_fetched(entry.get("shards", {})):
        return None
    try:
        return length_of_tars(entry["shards"]["path"]) if "shards" in entry else length_of_files(entry["files"])
    except ListError:
        return None


def length_of_files(entry: Mapping) -> Length | None:
    """Return the number of images in a folder, or of rows of a list of local paths; None if it takes long to count."""
    check_files(entry["path"], entry)
    folder = os.path.expanduser(entry["path"])
    if os.path.isdir(folder):
        return Length(sum(is_image(name) for _, names in folders_of(Path(folder)) for name in names), is_estimate=True)
    form = format_of_list(entry["path"], entry)
    columns = {"url": form.url, "caption": form.caption}
    rows = count_rows(entry["path"], {"lines": "tsv"}.get(form.container, form.container), columns)
    return None if rows is None else Length(rows)


def is_image(name: str) -> bool:
    return name.lower().endswith(tuple(f".{suffix}" for suffix in IMAGE_SUFFIXES))


def length_of_tars(path: str) -> Length | None:
    """Return the estimated number of samples in the tars at `path`; None if none of the first tars has an image."""
    tars = find_tars(path)
    total = sum(tar.stat().st_size for tar in tars)
    sizes = (bytes_per_sample(tar) for tar in tars[:5])
    size = next(filter(None, sizes), None)
    return Length(round(total / size), is_estimate=True) if size else None


def bytes_per_sample(tar: Path) -> float | None:
    """Return the bytes of a sample in a tar file, from its first members; None if it has no image."""
    images, end = 0, 0
    try:
        descriptor = os.open(tar, os.O_RDONLY)
    except OSError:
        return None
    try:
        reader = TarReader(descriptor)
        for number, member in enumerate(reader.members()):
            images += is_image(member.name)
            end = member.offset + member.size
            if number == MEMBERS:
                break
        else:
            end = reader.size
    except (TarFault, OSError):
        pass
    finally:
        os.close(descriptor)
    return end / images if images else None


def local_sources(experiment: Experiment) -> list[str]:
    """Return the sources whose images are in local files."""
    return [source for source in experiment.sources if is_local(experiment, source)]


def groups_of(experiment: Experiment, source: str) -> Sequence[str]:
    """Return the names of the groups of a source's tars, or that of its files; none if the tars are missing."""
    if "files" in experiment.sources[source]:
        return ["00000"]
    try:
        return group_names(names_of_tars(source, experiment.sources[source]["shards"]))
    except ListError:
        return []


def index_stages(experiment: Experiment, expected: Mapping[str, Expected]) -> list[Stage]:
    """Return the stages that index the tars and files of local sources; none if there is no such source."""
    costs, sources = experiment.config["costs"], local_sources(experiment)
    stages = []
    for rule, key in {"index_shards": "shards", "index_files": "files"}.items():
        own = [source for source in sources if key in experiment.sources[source]]
        rows = sum(expected[source].rows for source in own)
        products = [
            f"results/indexed/{source}/{group}/manifest.json"
            for source in own
            for group in groups_of(experiment, source)
        ]
        cpu = rows / costs["indexed_per_second"] / HOUR
        if own:
            stages.append(Stage(rule, f"{rows:,} samples", products, disk=rows * costs["listed_kb"] / 1e6, cpu=cpu))
    rows = sum(expected[source].rows for source in sources)
    collect = Stage(
        "collect_index",
        f"{rows:,} samples",
        [f"results/metadata/{source}/pairs.parquet" for source in sources],
        disk=rows * costs["listed_kb"] / 1e6,
        cpu=rows / costs["prepared_per_second"] / HOUR,
    )
    return [*stages, collect] if sources else []


def local_shard_stages(experiment: Experiment, expected: Mapping[str, Expected]) -> list[Stage]:
    """Return the stages that make the shards of local sources: that rewrite samples, and that link tars as they are."""
    costs, sources = experiment.config["costs"], local_sources(experiment)
    linked = [source for source in sources if is_linked(experiment, source)]
    rewritten = [source for source in sources if source not in linked]
    images = sum(expected[source].images for source in rewritten)
    samples = sum(expected[source].images for source in linked)
    stages = [
        Stage(
            "rewrite_shards",
            f"{images:,} images",
            [f"results/shards/{source}/manifest.json" for source in rewritten],
            disk=images * costs["stored_kb"] / 1e6,
            cpu=images / costs["sharded_per_second"] / HOUR,
        ),
        # It reads the headers of the tars again.
        Stage(
            "link_shards",
            f"{samples:,} samples",
            [f"results/shards/{source}/manifest.json" for source in linked],
            disk=samples * costs["listed_kb"] / 1e6,
            cpu=samples / costs["indexed_per_second"] / HOUR,
        ),
    ]
    return [stage for stage in stages if stage.products]
