# What cards.smk asks of the experiment.
from testbed.experiment import products as paths
from testbed.experiment.products import described_pools, is_local
from testbed.experiment.titles import title_of


def any_of(names):
    """A regular expression for some names; nothing fits it without them."""
    return "|".join(names) or "(?!)"


def parent_of_pool(wildcards):
    """The table that a filter selects from; nothing for a source."""
    entry = experiment.filters.get(wildcards.pool)
    return [f"results/samples/{entry['from']}/manifest.json"] if entry else []


def shards_of_root(wildcards):
    return f"results/shards/{experiment.root(wildcards.pool)}/manifest.json"


def seen_classes(wildcards):
    """The scores that have the classes which a teacher predicts for the images of a pool, if there are any."""
    name = paths.scores_with_classes(experiment, wildcards.pool)
    return [f"results/scores/{name}/manifest.json"] if name else []


def counts_of_list(wildcards):
    """The counts of a source's list; nothing for a filter."""
    source = wildcards.pool
    is_source = source in experiment.sources
    return [f"results/metadata/{source}/counts.json"] if is_source else []


def outcomes_of_downloads(wildcards):
    """The outcomes of a source's downloads; nothing for a filter, and for images on disk."""
    source = wildcards.pool
    if source not in experiment.sources or is_local(experiment, source):
        return []
    return paths.download_manifests(experiment, source)


def class_files_of_reference(wildcards):
    return files_of_testset(experiment.reference)


def sampling(wildcards):
    """How many samples are drawn; what a card shows of them does not change a description."""
    keys = ("images", "caption_sample", "image_sample")
    return {key: settings["cards"][key] for key in keys}


def described_files(name):
    """An input function: a file of the description of each pool."""

    def files(wildcards):
        return [
            f"results/descriptions/{pool}/{name}"
            for pool in described_pools(experiment)
        ]

    return files


def shown_files(name):
    """An input function: a file of the description of a pool, or of each one in a mixture."""

    def files(wildcards):
        pool = wildcards.pool
        is_mixture = pool in experiment.mixtures
        shown = paths.mixed_pools(experiment, pool) if is_mixture else [pool]
        return [f"results/descriptions/{member}/{name}" for member in shown]

    return files


def words_of_rivals(wildcards):
    """The words of the other sources; nothing for a filter, which is compared with what it drops."""
    if wildcards.pool not in experiment.sources:
        return []
    return [
        f"results/descriptions/{pool}/words.parquet"
        for pool in described_pools(experiment)
        if pool in experiment.sources and pool != wildcards.pool
    ]


def overlaps_of_sources(wildcards):
    """The near-duplicates that are counted in each source with a card; nothing where they are not."""
    sources = paths.overlapping_sources(experiment)
    return [f"results/overlap/{source}/manifest.json" for source in sources]


def overlap_of_source(wildcards):
    """The same of one source; nothing for a filter."""
    if wildcards.pool not in paths.overlapping_sources(experiment):
        return []
    return [f"results/overlap/{wildcards.pool}/manifest.json"]


def titles_of_testsets(wildcards):
    return {testset: title_of(testset) for testset in sorted(experiment.testsets)}


def card_of_pool(wildcards):
    """What the card of a pool says of it: names, kind, and the title of the reference; of a mixture also its members."""
    pool = wildcards.pool
    entry = paths.card_entry(experiment, pool)
    if pool in experiment.mixtures:
        entry["sizes"] = experiment.sizes(pool)
    return entry | {"reference": title_of(experiment.reference)}


def drawn_pools(wildcards):
    """The described pools as figures have them, by name."""
    return canonical(
        {name: plotted_pools[name] for name in described_pools(experiment)}
    )


def card_entries(wildcards):
    return canonical(
        {
            name: paths.card_entry(experiment, name)
            for name in described_pools(experiment)
        }
    )


def mixture_entries(wildcards):
    return canonical(
        {name: paths.card_entry(experiment, name) for name in experiment.mixtures}
    )


def concept_models(wildcards):
    """By pool, architecture and size: the predictions of the models of the largest trainset of each described pool."""
    return paths.largest_predictions(experiment)


def concept_predictions(wildcards):
    return [file for files in concept_models(wildcards).values() for file in files]


def described_with_models(wildcards):
    """The descriptions of the pools that have models."""
    pools = dict.fromkeys(key.split("/")[0] for key in concept_models(wildcards))
    return [f"results/descriptions/{pool}/description.json" for pool in pools]


def class_files(wildcards):
    return [
        file
        for testset in experiment.classifications
        for file in files_of_testset(testset)
    ]


def class_folders(wildcards):
    return {
        testset: testset_folder(experiment, testset)
        for testset in sorted(experiment.classifications)
    }
