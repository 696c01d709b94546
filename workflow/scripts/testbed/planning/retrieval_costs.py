"""What the retrieval of lists and tars costs: network and disk, as far as sizes are known."""

import csv

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import is_retrieved
from testbed.local.files import TARS, group_names
from testbed.local.remote_tars import is_fetched, names_of_tars
from testbed.planning.stages import Stage
from testbed.records.shipped import shipped


def retrieval_stages(experiment: Experiment) -> list[Stage]:
    """Return the stage that fetches lists; none without a list to fetch."""
    sources = [source for source in experiment.sources if is_retrieved(experiment, source)]
    if not sources:
        return []
    with open(shipped(experiment.config["released_lists"]), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    addresses = {source: experiment.sources[source]["metadata"]["retrieve"] for source in sources}
    known, unknown = 0, []
    for source, address in addresses.items():
        sizes = [row["bytes"] for row in rows if row["list"] == address]
        if sizes and all(sizes):
            known += sum(map(int, sizes))
        else:
            unknown.append(source)
    work = f"{len(sources)} lists" + (f", size not known of {', '.join(unknown)}" if unknown else "")
    products = [f"results/lists/{source}/manifest.json" for source in sources]
    return [Stage("retrieve_list", work, products, disk=known / 1e9, network=known / 1e9)]


def tar_stages(experiment: Experiment) -> list[Stage]:
    """Return the stage that fetches tars; none without tars to fetch. How large they are is not known before."""
    sections = {source: entry.get("shards", {}) for source, entry in experiment.sources.items()}
    tars = {source: names_of_tars(source, shards) for source, shards in sections.items() if is_fetched(shards)}
    products = [
        f"{TARS}/{source}/{group}/manifest.json" for source, names in tars.items() for group in group_names(names)
    ]
    number = sum(map(len, tars.values()))
    return [Stage("retrieve_shards", f"{number:,} tars, size not known", products)] if tars else []
