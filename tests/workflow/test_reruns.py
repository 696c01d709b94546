"""What an edit of the experiment makes again: nothing where products would be the same, and else what it changes."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from snakemake.utils import validate
from test_commands import jobs_of

from experiments import SCHEMA
from runs import TINY, run_snakemake
from testbed.experiment.settings import RUN_ONLY

TINY_CONFIG = yaml.safe_load(TINY.read_text(encoding="utf-8"))
OTHER_VALUES = {
    "contact": "mailto:me@site.org",
    "hosts": {"photos.test": 3},
    "memory": "2GB",
    "proxy": "http://proxy.site.org:3128",
    "trained_per_second": {"mini_rn": 123},
    "user_agent": "another",
    "wandb_project": "mine",
}
"""Other values of the keys that only say how work is done; numbers and switches are counted up and turned."""

STATISTICS = {"fit_trends", "fit_scaling", "measure_dilution", "check_claims"}
OF_TRENDS = {"plot_effective_robustness", "plot_claims", "explore_robustness", "plot_mixture", "plot_ensemble"}
PLOTS = OF_TRENDS | {"plot_data_efficiency"}
PROVENANCE = {"trace_provenance", "collect_citations"}
EVALUATIONS = {"evaluate_clip", "evaluate_ensemble", "collect_evaluations", "count_joint_correct"}
CONCEPTS = {"measure_concepts", "plot_concepts"}
COMPARED = {"compare_similarity", "plot_similarity"}
EMBEDDINGS = {"embed_images", "embed_testset"}
FROM_EVALUATIONS = EVALUATIONS | STATISTICS | PLOTS | PROVENANCE | CONCEPTS | COMPARED
# One of the models is the teacher whose embeddings say what is near.
FROM_TRAININGS = {"train_clip", "plot_learning_curves", "measure_similarity"} | EMBEDDINGS | FROM_EVALUATIONS
CARDS = {"describe_pool", "draw_card", "compare_pools", "plot_pools"}
OVERLAP = {"measure_overlap", "collect_overlap", "draw_card", "compare_pools"}
FROM_SHARDS = {"shard_samples", "list_samples", "hash_images", "link_trainset"} | OVERLAP | CARDS | FROM_TRAININGS
LISTS = {"make_miniweb", "prepare_metadata", "shuffle_metadata", "download_images"}
THEORY = {"simulate_theory", "plot_theory", "simulate_contrastive", "plot_contrastive"}

CHANGES = {
    "architectures.mini_rn.learning_rate": (1.0e-3, FROM_TRAININGS),
    "cards.blur": ("all", {"draw_card", "compare_pools"} | PROVENANCE),
    "cards.overlap": (False, {"draw_card", "compare_pools"} | PROVENANCE),
    "cards.images": (12, CARDS | CONCEPTS | PROVENANCE),
    "architectures.mini_rn.extra": ({"accum-freq": 2}, FROM_TRAININGS),
    "download.image_size": (32, {"download_images"} | FROM_SHARDS),
    "download.retry_failed": (["timeout"], {"download_images"} | FROM_SHARDS),
    "ensembles.mini_both.average": ("weights", FROM_EVALUATIONS - {"evaluate_clip"} - CONCEPTS - COMPARED),
    "experiment": ("another", {"explore_robustness", "compare_pools"} | PROVENANCE),
    # One of the sources has near-duplicates of test images.
    "miniweb.testset_images": (90, {"make_testset", "decode_testset", "hash_testset"} | LISTS | FROM_SHARDS),
    "mixtures.mini_blend.shares.mini_yfcc": (
        2,
        {"link_trainset", "draw_card", "compare_pools"}
        | FROM_TRAININGS - {"evaluate_ensemble"} - CONCEPTS - EMBEDDINGS,
    ),
    "seed": (1, {"shuffle_metadata", "download_images"} | FROM_SHARDS | THEORY),
    "seeds": ([1], FROM_TRAININGS),
    "shards.shard_size": (50, FROM_SHARDS),
    "similarity.teacher.size": (
        100,
        {"measure_similarity", "explore_robustness"} | EMBEDDINGS | COMPARED | PROVENANCE,
    ),
    "sizes": ([100, 220, 240], {"link_trainset", "draw_card"} | FROM_TRAININGS - EMBEDDINGS),
    "statistics.point_confidence": (0.99, FROM_EVALUATIONS),
    "statistics.scale": ("probit", STATISTICS | OF_TRENDS | PROVENANCE),
}
"""Edits that change products, and the rules whose products they are, with all that is made from these."""


def filled(config: dict) -> dict:
    """`config` with all defaults written out."""
    config = copy.deepcopy(config)
    validate(config, str(SCHEMA))
    return config


def reversed_keys(value: object) -> object:
    """`value` with the keys of all its mappings in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(inner) for key, inner in reversed(value.items())}
    return [reversed_keys(entry) for entry in value] if isinstance(value, list) else value


def with_floats(config: dict) -> dict:
    """`config` with whole numbers as floats where the schema lets them be."""
    config = filled(config)
    for section, keys in {"architectures.*": ["warmup"], "statistics": ["margin", "compare_at"]}.items():
        for entry in entries_of(config, section):
            entry |= {key: float(entry[key]) for key in keys}
    return config


def scaled_shares(config: dict) -> dict:
    config = copy.deepcopy(config)
    for entry in (*config["mixtures"].values(), *config["ensembles"].values()):
        entry["shares"] = {name: 0.1 * share for name, share in entry["shares"].items()}
    return config


def other_value(key: str, value: object) -> object:
    """Another value of a key than `value`; of a mapping, other values of all its keys."""
    if key in OTHER_VALUES:
        return OTHER_VALUES[key]
    if isinstance(value, dict):
        return {inner: other_value(inner, inside) for inner, inside in value.items()}
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value / 2


def entries_of(config: dict, section: str) -> Iterator[dict]:
    """The mappings of `config` that a section of `RUN_ONLY` speaks of."""
    entries = [config]
    for step in section.split(".") if section else []:
        entries = [inner for entry in entries for inner in (entry.values() if step == "*" else [entry[step]])]
    yield from entries


def run_otherwise(config: dict) -> dict:
    """`config` with other values of all keys that only say how work is done."""
    config = filled(config)
    for section, keys in RUN_ONLY.items():
        for entry in entries_of(config, section):
            entry |= {key: other_value(key, entry.get(key, 1)) for key in keys}
    return config


SAME = {
    "the order of keys": reversed_keys,
    "defaults that are written out": filled,
    "whole numbers as floats": with_floats,
    "the sum of shares": scaled_shares,
    "how work is done": run_otherwise,
}
"""Edits that change no product."""


def dry_run(folder: Path, config: dict, path: Path) -> str:
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return run_snakemake(folder, "-n", "--configfile", path).stdout


@pytest.mark.parametrize("edit", SAME)
def test_edits_that_change_no_product_plan_nothing(tiny_run, tmp_path, edit):
    edited = SAME[edit](TINY_CONFIG)
    assert yaml.safe_dump(edited, sort_keys=False) != yaml.safe_dump(TINY_CONFIG, sort_keys=False)
    output = dry_run(tiny_run, edited, tmp_path / "edited.yaml")
    assert "Nothing to be done" in output, output[-6000:]


@pytest.mark.parametrize("key", CHANGES)
def test_edits_that_change_products_plan_these_alone(tiny_run, tmp_path, key):
    value, rules = CHANGES[key]
    config = copy.deepcopy(TINY_CONFIG)
    *sections, last = key.split(".")
    entry = config
    for section in sections:
        entry = entry.setdefault(section, {})
    entry[last] = value
    jobs = jobs_of(dry_run(tiny_run, config, tmp_path / "edited.yaml"))
    assert set(jobs) - {"all"} == rules


def test_a_larger_size_trains_its_own_models_alone(tiny_run, tmp_path):
    jobs = jobs_of(dry_run(tiny_run, TINY_CONFIG | {"sizes": [100, 220, 240]}, tmp_path / "edited.yaml"))
    assert (jobs["link_trainset"], jobs["train_clip"], jobs["evaluate_clip"], jobs["evaluate_ensemble"]) == (4, 4, 4, 1)
