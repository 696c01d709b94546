"""Experiments for tests: the demo's with sizes that tests can count on, whole and changed."""

import copy
from pathlib import Path

import yaml
from snakemake.utils import validate

from testbed.defaults import fill_defaults
from testbed.experiment import Experiment
from testbed.schema import check_schema

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "experiment.schema.yaml"


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))


DEMO = read("demo")
del DEMO["costs"], DEMO["filters"]
DEMO["sizes"] = [600, 1200, 2400, 4800]
for _source in DEMO["sources"].values():
    _source["samples"] = 5500
    _source.pop("sizes", None)
DEMO["architectures"]["mini_rn"] |= {"batch_size": 64, "epochs": 8}


def load(config: dict) -> Experiment:
    """The experiment in `config`, checked and filled in as workflow/rules/common.smk does."""
    config = copy.deepcopy(config)
    check_schema(config, SCHEMA)
    validate(config, str(SCHEMA))
    experiment = Experiment(config)
    fill_defaults(experiment)
    return experiment


def changed(**changes) -> dict:
    """The demo's configuration with values replaced; `sources__mini_yfcc__samples=5` reaches into it."""
    config = copy.deepcopy(DEMO)
    for path, value in changes.items():
        *sections, key = path.split("__")
        section = config
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
    return config


def small(**changes) -> dict:
    """An experiment of two sources, without mixtures, on which sizes are easily counted."""
    sources = {name: {"metadata": {"miniweb": "yfcc"}, "samples": 1000} for name in ("a", "b")}
    return changed(
        **{
            "sources": sources,
            "mixtures": {},
            "ensembles": {},
            "statistics": {"baseline": "none"},
            "claims": [],
            "sizes": [100],
            **changes,
        }
    )
