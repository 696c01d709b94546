"""Experiments for tests: the demo's with sizes that tests can count on, whole and changed."""

import copy
from pathlib import Path

import yaml

from testbed.experiment.experiment import Experiment
from testbed.planning.schema import load_experiment

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "experiment.schema.yaml"


OVERLAYS = {"paper_small"}
EXPERIMENTS = sorted({path.stem for path in (ROOT / "config").glob("*.yaml")} - {"config"} - OVERLAYS)


def read(name: str) -> dict:
    """The shipped experiment `name`, as its file has it."""
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))


DEMO = read("demo")
del DEMO["costs"], DEMO["filters"], DEMO["similarity"]
DEMO["sizes"] = [600, 1200, 2400, 4800]
for _source in DEMO["sources"].values():
    _source["samples"] = 5500
    _source.pop("sizes", None)
DEMO["architectures"]["mini_rn"] |= {"batch_size": 64, "epochs": 8}


def load(config: dict) -> Experiment:
    """The experiment in `config`, checked and filled in as workflow/rules/common.smk does."""
    return load_experiment(copy.deepcopy(config), SCHEMA)


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


def corrupted(**options) -> dict:
    """The change that adds a corrupted test set."""
    return {"testsets__fog": {"corrupt": {"kind": "fog", "severity": 3} | options}}


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
