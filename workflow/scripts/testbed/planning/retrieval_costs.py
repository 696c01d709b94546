"""What the retrieval of lists costs: network and disk, as far as sizes are known."""

import csv

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import is_retrieved
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
