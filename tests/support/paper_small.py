"""The paper's own experiment in miniature: what config/paper.yaml asks for with config/paper_small.yaml on top."""

import copy

import yaml
from snakemake.utils import update_config

from experiments import ROOT, load

CONFIG = ["--configfile", "config/paper.yaml", "config/paper_small.yaml"]
PAPER, SMALL = (yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in CONFIG[1:])
SOURCES, MIXTURES, ENSEMBLES, FILTERS = (list(PAPER[kind]) for kind in ("sources", "mixtures", "ensembles", "filters"))
POOLS = [*SOURCES, *MIXTURES, *FILTERS]
SHIFTS = ["imagenet-v2", "imagenet-r", "imagenet-sketch", "objectnet"]
TESTSETS = ["imagenet", *SHIFTS]
TITLES = ["ImageNet-V2", "ImageNet-R", "ImageNet-Sketch", "ObjectNet"]
WHOLE = copy.deepcopy(PAPER)
update_config(WHOLE, SMALL)
EXPERIMENT = load(WHOLE)
SIZES = {pool: EXPERIMENT.sizes(pool) for pool in [*POOLS, *ENSEMBLES]}
MODELS = {f"{pool}-rn50-{size}-0" for pool, sizes in SIZES.items() for size in sizes}
LARGEST = SMALL["sizes"][-1]

ASKED = [f"yfcc-rn50-{LARGEST}-0", f"laion-rn50-{LARGEST}-0"]
"""Models whose answers are computed again, and whose ensembles then are known too."""
