"""Print the estimated cost of an experiment, stage by stage, and how much of it is done.

In:  the experiment, its `costs`, and facts about released lists (resources/sources.csv) and test sets
     (resources/testsets.csv)
Out: two tables on standard output, one of sources and one of stages
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.experiment.errors import ExperimentError
from testbed.experiment.experiment import Experiment
from testbed.lists.sources import released_sources
from testbed.local.remote_tars import is_fetched
from testbed.planning.costs import (
    Expected,
    Stage,
    expectations,
    images_of_testsets,
    length_of,
    maximum_samples,
    stages_of,
)
from testbed.planning.download_time import least_download_hours
from testbed.planning.given_files import selection_problems, source_problems
from testbed.planning.hash_checks import hash_hours, hashed_sources
from testbed.planning.local_costs import length_of_local
from testbed.records.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake
NAMES = {"sha256": "SHA-256", "md5": "MD5"}
NUMBER = re.compile(r"[\d.,/%?]*")
SOURCE_HEADER = ("source", "format", "URLs", "success", "images", "needed", "")
STAGE_HEADER = ("stage", "jobs", "done", "work", "disk GB", "network GB", "CPU h", "GPU h")


def amount(value: float | None) -> str:
    """Return a cost as text: two significant digits below 10, a whole number above, "?" if unknown."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if value >= 10 or not value else f"{value:.2g}"


def add(values: list[float | None]) -> float | None:
    return None if None in values else sum(values)


def stage_rows(stages: list[Stage]) -> list[tuple[str, ...]]:
    """Return the table of stages: a row for each, the total, and the rest to do."""
    rows = [
        (stage.rule, str(len(stage.products)), str(stage.done), stage.work, *map(amount, stage[3:])) for stage in stages
    ]
    jobs, done = sum(len(stage.products) for stage in stages), sum(stage.done for stage in stages)
    total = [add([stage[column] for stage in stages]) for column in range(3, 7)]
    left = [
        add([None if stage[column] is None else stage[column] * stage.share_left for stage in stages])
        for column in range(3, 7)
    ]
    return [
        STAGE_HEADER,
        *rows,
        ("total", str(jobs), str(done), "", *map(amount, total)),
        ("left", str(jobs - done), "", "", *map(amount, left)),
    ]


def source_rows(experiment: Experiment, expected: dict[str, Expected]) -> list[tuple[str, ...]]:
    """Return the table of sources: URLs to fetch, expected images, and the images that the largest trainset needs."""
    rows = [SOURCE_HEADER]
    for name, source in expected.items():
        entry, needed = experiment.sources[name], experiment.needed(name)
        samples, notes = entry.get("samples", 0), []
        if source.length and source.length.pairs < samples:
            holder = "the list has" if "metadata" in entry else "the disk has"
            notes.append(f"{holder} {source.length}, fewer than samples: {samples:,}")
        if is_fetched(entry.get("shards", {})) and not source.length and not samples:
            notes.append("how many samples the tars have is not known yet: costs are of what the trainsets need")
        if source.images < needed:
            notes.append(f"{needed:,} images {'may be' if source.urls >= needed else 'are'} too many: lower the sizes")
        kind = "tars" if "shards" in entry else "files"
        if "metadata" in entry:
            kind = entry["metadata"].get("format", "mini-web")
        rows.append(
            (
                name,
                kind,
                f"{source.urls:,}",
                f"{source.success:.0%}",
                f"{source.images:,}",
                f"{needed:,}",
                "; ".join(notes),
            )
        )
    return rows


def hash_lines(experiment: Experiment, expected: dict[str, Expected]) -> list[str]:
    """Return a line for each source whose images are compared with hashes: how many, and the cost."""
    hours = hash_hours(experiment, {name: source.images for name, source in expected.items()})
    return [
        f"Hash check of {name}: {expected[name].images:,} images are compared with the {NAMES[kind]} of the list. That is "
        f"{amount(hours[name])} of the CPU h of download_images, and no network."
        for name, kind in hashed_sources(experiment).items()
    ]


def download_lines(
    experiment: Experiment, expected: dict[str, Expected], known: dict[str, dict[str, str]]
) -> list[str]:
    """Return a line for each source whose downloads take a day or more at the rate limit of its main host."""
    return [
        f"Downloads of {name} take {hours / 24:.1f} days or more, with any number of jobs: most of its images are on "
        f"{host}, which gets at most {rate:g} requests a second (download.requests_per_second, download.hosts)."
        for name, (host, rate, hours) in least_download_hours(experiment, expected, known).items()
        if hours >= 24
    ]


def unreachable_sizes(experiment: Experiment, expected: dict[str, Expected]) -> list[str]:
    """Return an error for each filter with a size above what it is expected to keep."""
    errors = []
    for name in experiment.filters:
        root = experiment.root(name)
        if is_fetched(experiment.sources[root].get("shards", {})) and not expected[root].length:
            # How many samples the tars have is not known before they are fetched.
            continue
        most, largest = maximum_samples(experiment, expected, name), max(experiment.sizes(name), default=0)
        if largest > most:
            errors.append(
                f"filters.{name}: a trainset of {largest:,} samples cannot be filled, about {most:,} are expected to be "
                f"kept; lower its sizes"
            )
    return errors


def missing_files(experiment: Experiment) -> list[str]:
    """Return an error for each table or list of uids that a filter without samples selects by and that cannot be read."""
    waiting = [name for name in experiment.filters if not Path(f"results/samples/{name}/manifest.json").is_file()]
    return [line for name in waiting for line in selection_problems(name, experiment.filters[name])]


def table_of(rows: list[tuple[str, ...]]) -> str:
    """Return rows as text in columns, with numbers aligned to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numeric = [all(NUMBER.fullmatch(row[column]) for row in rows[1:]) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    experiment = Experiment(snakemake.config)
    lengths = {
        name: length_of(name, source["metadata"]) if "metadata" in source else length_of_local(name, source)
        for name, source in experiment.sources.items()
    }
    known = released_sources(snakemake.params.sources)
    expected = expectations(experiment, known, lengths)
    tested = images_of_testsets(experiment, snakemake.params.testsets)
    stages = stages_of(experiment, expected, tested)
    print(table_of(source_rows(experiment, expected)), end="\n\n")
    print(table_of(stage_rows(stages)), end="\n\n")
    for line in [*download_lines(experiment, expected, known), *hash_lines(experiment, expected)]:
        print(line)
    for line in source_problems(snakemake.config):
        print(f"Missing for a start: {line}")
    print("Rates are from the experiment's section `costs`; measure your own and set them there.")
    if any(stage.gpu is None for stage in stages):
        print("? costs.trained_per_second has no rate for an architecture: its train.log says samples per second.")
    if errors := [*unreachable_sizes(experiment, expected), *missing_files(experiment)]:
        raise ExperimentError("\n".join(errors))
