"""Print the estimated cost of an experiment, stage by stage, and how much of it is done.

In:  the experiment, its `costs`, and facts about released lists (resources/sources.csv) and test sets
     (resources/testsets.csv)
Out: two tables on standard output, one of sources and one of stages
"""

import re
from typing import TYPE_CHECKING

from testbed.experiment.experiment import Experiment
from testbed.lists.sources import released_sources
from testbed.planning.costs import Expected, Stage, expectations, images_of_testsets, length_of, stages_of
from testbed.records.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake
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
        metadata, needed = experiment.sources[name]["metadata"], experiment.needed(name)
        samples, notes = experiment.sources[name]["samples"], []
        if source.length and source.length.pairs < samples:
            notes.append(f"the list has {source.length}, fewer than samples: {samples:,}")
        if source.images < needed:
            notes.append(f"{needed:,} images {'may be' if source.urls >= needed else 'are'} too many: lower the sizes")
        kind = metadata.get("format") or "mini-web"
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
    lengths = {name: length_of(name, source["metadata"]) for name, source in experiment.sources.items()}
    expected = expectations(experiment, released_sources(snakemake.params.sources), lengths)
    tested = images_of_testsets(experiment, snakemake.params.testsets)
    stages = stages_of(experiment, expected, tested)
    print(table_of(source_rows(experiment, expected)), end="\n\n")
    print(table_of(stage_rows(stages)), end="\n\n")
    print("Rates are from the experiment's section `costs`; measure your own and set them there.")
    if any(stage.gpu is None for stage in stages):
        print("? costs.trained_per_second has no rate for an architecture: its train.log says samples per second.")
