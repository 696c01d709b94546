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
from testbed.settings import RUN_ONLY

TINY_CONFIG = yaml.safe_load(TINY.read_text(encoding="utf-8"))
OTHER_VALUES = {
    "contact": "mailto:me@site.org",
    "hosts": {"photos.test": 3},
    "memory": "2GB",
    "private_networks": ["10.1.2.0/24"],
    "proxy": "http://proxy.site.org:3128",
    "trained_per_second": {"mini_rn": 123},
    "user_agent": "another",
    "wandb_project": "mine",
}
"""Other values of the keys that only say how work is done; numbers and switches are counted up and turned."""

STATISTICS = {"fit_trends", "fit_scaling", "measure_dilution", "check_claims"}
PLOTS = {"plot_effective_robustness", "explore_robustness", "plot_mixture", "plot_data_efficiency"}
PROVENANCE = {"trace_provenance", "collect_citations"}
FROM_EVALUATIONS = {"evaluate_clip", "evaluate_ensemble", "collect_evaluations"} | STATISTICS | PLOTS | PROVENANCE
FROM_TRAININGS = {"train_clip", "plot_learning_curves"} | FROM_EVALUATIONS
FROM_SHARDS = {"shard_samples", "link_trainset"} | FROM_TRAININGS
THEORY = {"simulate_theory", "plot_theory", "simulate_contrastive", "plot_contrastive"}

CHANGES = {
    "architectures.mini_rn.learning_rate": (1.0e-3, FROM_TRAININGS),
    "architectures.mini_rn.extra": ({"accum-freq": 2}, FROM_TRAININGS),
    "download.image_size": (32, {"download_images"} | FROM_SHARDS),
    "download.retry_failed": (["timeout"], {"download_images"} | FROM_SHARDS),
    "ensembles.mini_both.average": ("weights", FROM_EVALUATIONS - {"evaluate_clip"}),
    "experiment": ("another", {"explore_robustness"} | PROVENANCE),
    "miniweb.testset_images": (90, {"make_testset", "decode_testset"} | FROM_EVALUATIONS),
    "mixtures.mini_blend.shares.mini_yfcc": (2, {"link_trainset"} | FROM_TRAININGS - {"evaluate_ensemble"}),
    "seed": (1, {"shuffle_metadata", "download_images"} | FROM_SHARDS | THEORY),
    "seeds": ([1], {"train_clip", "plot_learning_curves"} | FROM_EVALUATIONS),
    "shards.shard_size": (50, FROM_SHARDS),
    "sizes": ([100, 220, 240], {"link_trainset"} | FROM_TRAININGS),
    "statistics.point_confidence": (0.99, FROM_EVALUATIONS),
    "statistics.scale": ("probit", STATISTICS | PLOTS | PROVENANCE),
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


def with_floats(value: object) -> object:
    """`value` with all whole numbers as floats, as far as the schema lets them be: where a float may stand."""
    keys = ("warmup", "weight_decay", "margin", "compare_at", "shares")
    if not isinstance(value, dict):
        return value
    return {key: floats_of(inner) if key in keys else with_floats(inner) for key, inner in value.items()}


def floats_of(value: object) -> object:
    return {key: float(inner) for key, inner in value.items()} if isinstance(value, dict) else float(value)


def scaled_shares(config: dict) -> dict:
    config = copy.deepcopy(config)
    for entry in (*config["mixtures"].values(), *config["ensembles"].values()):
        entry["shares"] = {name: 0.1 * share for name, share in entry["shares"].items()}
    return config


def other_value(key: str, value: object) -> object:
    """Another value of a key than `value`."""
    if key in OTHER_VALUES:
        return OTHER_VALUES[key]
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value / 2


def entries_of(config: dict, section: str) -> Iterator[dict]:
    """The mappings of `config` that a section of `RUN_ONLY` speaks of."""
    entries = [config]
    for step in section.split(".") if section else []:
        entries = [inner for entry in entries for inner in (entry.values() if step == "*" else [entry[step]])]
    yield from entries


def run_otherwise(section: str) -> dict:
    """The tiny experiment with other values of all keys of `section` that only say how work is done."""
    config = filled(TINY_CONFIG)
    for entry in entries_of(config, section):
        for key in RUN_ONLY[section]:
            inner = entry[key]
            nested = isinstance(inner, dict) and key not in OTHER_VALUES
            entry[key] = {k: other_value(k, v) for k, v in inner.items()} if nested else other_value(key, inner)
    assert config != filled(TINY_CONFIG)
    return config


SAME = {
    "defaults": filled(TINY_CONFIG),
    "floats": with_floats(filled(TINY_CONFIG)),
    "order": reversed_keys(TINY_CONFIG),
    "shares": scaled_shares(TINY_CONFIG),
    **{f"run only: {section or 'experiment'}": run_otherwise(section) for section in sorted(RUN_ONLY)},
}


def dry_run(folder: Path, config: dict, path: Path) -> str:
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return run_snakemake(folder, "-n", "--configfile", path).stdout


@pytest.mark.parametrize("edit", SAME)
def test_edits_that_change_no_product_plan_nothing(tiny_run, tmp_path, edit):
    assert SAME[edit] != TINY_CONFIG or edit == "order"
    output = dry_run(tiny_run, SAME[edit], tmp_path / "edited.yaml")
    assert "Nothing to be done" in output, output[-6000:]


@pytest.mark.parametrize("key", CHANGES)
def test_edits_that_change_products_plan_these_alone(tiny_run, tmp_path, key):
    value, rules = CHANGES[key]
    config = copy.deepcopy(TINY_CONFIG)
    *sections, last = key.split(".")
    entry = config
    for section in sections:
        entry = entry[section]
    entry[last] = value
    jobs = jobs_of(dry_run(tiny_run, config, tmp_path / "edited.yaml"))
    assert set(jobs) - {"all"} == rules


def test_a_larger_size_trains_its_own_models_alone(tiny_run, tmp_path):
    jobs = jobs_of(dry_run(tiny_run, TINY_CONFIG | {"sizes": [100, 220, 240]}, tmp_path / "edited.yaml"))
    assert (jobs["link_trainset"], jobs["train_clip"], jobs["evaluate_clip"], jobs["evaluate_ensemble"]) == (4, 4, 4, 1)
