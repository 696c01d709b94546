"""What a whole run makes: the plots, tables and pages from which Snakemake finds all else that is needed."""

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import (
    carded_pools,
    compared_prefixes,
    filters_by,
    largest_predictions,
    overlapping_sources,
)


def has_ratios(experiment: Experiment) -> bool:
    """Whether two pools are mixed in several ratios."""
    pairs = [tuple(experiment.members(mixture)) for mixture in experiment.mixtures]
    return any(len(pair) == 2 and pairs.count(pair) > 1 for pair in pairs)


def card_products(experiment: Experiment) -> list[str]:
    """The cards of all pools, what shows them side by side, and their figures and tables; none with `cards.make: false`."""
    pools = carded_pools(experiment)
    if not experiment.config["cards"]["make"] or not pools:
        return []
    cards = [f"results/report/pools/{pool}.html" for pool in pools]
    concepts = ["results/plots/concepts.pdf"] if largest_predictions(experiment) else []
    overlap = ["results/tables/overlap.csv"] if overlapping_sources(experiment) else []
    return ["results/report/pools.html", *cards, "results/plots/pools.pdf", *concepts, *overlap]


def similarity_products(experiment: Experiment) -> list[str]:
    """What says how near test images are to trainsets; none without `similarity`."""
    if not experiment.config["similarity"] or not compared_prefixes(experiment):
        return []
    return ["results/plots/similarity.pdf", "results/tables/similarity.csv"]


def all_products(experiment: Experiment) -> list[str]:
    """What a whole run makes: all plots and tables."""
    return [
        "results/plots/effective_robustness.pdf",
        "results/plots/claims.pdf",
        "results/report/explore.html",
        "results/plots/data_efficiency.pdf",
        "results/tables/effective_robustness.csv",
        "results/tables/dilution.csv",
        "results/tables/scaling.csv",
        "results/claims.csv",
        *(f"results/plots/mixtures/{mixture}.pdf" for mixture in experiment.mixtures),
        *(["results/plots/mixture_ratios.pdf"] if has_ratios(experiment) else []),
        *(f"results/plots/filters/{name}.pdf" for name in experiment.filters if experiment.sizes(name)),
        *(f"results/plots/ensembles/{ensemble}.pdf" for ensemble in experiment.ensembles),
        *(f"results/plots/learning_curves/{pool}.pdf" for pool in experiment.pools if experiment.sizes(pool)),
        *(f"results/plots/entries/{name}.pdf" for name in filters_by(experiment, "metaclip")),
        *(f"results/plots/scores/{name}.pdf" for name in filters_by(experiment, "clip_score")),
        *card_products(experiment),
        *similarity_products(experiment),
        "results/plots/theory.pdf",
        "results/plots/contrastive.pdf",
        "results/provenance.csv",
        "results/citations.bib",
    ]
