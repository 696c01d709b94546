"""An experiment whose page is known: six sources, two mixtures, four shifts, published and public models."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from example_evaluations import row, table
from experiments import ROOT
from explore_robustness import explore_robustness
from testbed.explorer.data import Similarity
from testbed.statistics.baselines import read_baselines
from testbed.statistics.settings import Settings

REFERENCE = "imagenet"
SHIFTS = ["imagenet-v2", "imagenet-r", "imagenet-sketch", "imagenet-a"]
EVERYTHING = f"#shift={SHIFTS[0]}"
"""The address's hash of the first shift with all pools: an address that names a shift says all that is hidden."""

SOURCES = ["yfcc", "laion", "cc12m", "redcaps", "wit", "shutterstock"]
MIXTURES = {"yfcc_laion": {"yfcc": 1, "laion": 1}, "redcaps_wit": {"redcaps": 0.25, "wit": 0.75}}
POOLS = [{"name": name, "kind": "source", "members": {}} for name in SOURCES]
POOLS += [{"name": name, "kind": "mixture", "members": members} for name, members in MIXTURES.items()]
SIZES = [1_000_000, 3_000_000, 8_000_000, 15_000_000]
# few resamples: what they give is compared, not judged
SETTINGS = Settings(baseline="standard_extended", bootstrap=100)
BASELINES = read_baselines(ROOT / "resources" / "baselines.csv")


def heights() -> dict[str, float]:
    """How far each pool's trends lie above the lowest, on the logit scale: mixtures in the middle of their members."""
    found = {name: 0.25 * place for place, name in enumerate(SOURCES)}
    for name, members in MIXTURES.items():
        found[name] = sum(share * found[member] for member, share in members.items()) / sum(members.values())
    return found


def page_evaluations(n: int = 10_000) -> pd.DataFrame:
    """Four sizes of each pool; ImageNet-R over its own classes too."""
    random, rows = np.random.default_rng(0), []
    for place, (pool, height) in enumerate(heights().items()):
        for size in SIZES:
            x = -2.2 + 0.5 * np.log2(size / 1e6) + 0.04 * place
            rows.append(row(pool, size, REFERENCE, round(5 * n * expit(x)), 5 * n))
            for drop, shift in enumerate(SHIFTS):
                y = 0.9 * x - 0.3 - 0.25 * drop + height + random.normal(0, 0.06)
                rows.append(row(pool, size, shift, round(n * expit(y)), n))
                if shift == "imagenet-r":
                    rows += [own_classes(row(pool, size, shift, round(n * expit(y)), n))]
                    rows += [own_classes(row(pool, size, REFERENCE, round(n * expit(x + 1)), n))]
    return table(rows)


def own_classes(entry: list) -> list:
    return [*entry[:6], "imagenet-r", *entry[7:]]


def published_evaluations() -> pd.DataFrame:
    evaluations = page_evaluations()
    chosen = evaluations[evaluations["model"] == evaluations["model"].iloc[0]]
    return chosen.assign(model="a_checkpoint", pool="a_checkpoint", architecture="published", size=0)


def public_models() -> pd.DataFrame:
    """Two of OpenCLIP's models as `measure_reference_models` writes them; the second is far beyond the experiment's own."""
    columns = {"scale": "logit", "baseline": "standard_extended", "classes": "all", "size": 0, "seed": 0}
    robustness = {"effective_robustness": 12.5, "effective_robustness_low": 11.0, "effective_robustness_high": 14.0}
    rows = [
        {
            "model": model,
            "pool": "a_list",
            "architecture": "ViT-B-32",
            "testset": shift,
            "reference_value": x,
            "value": y,
        }
        for shift in SHIFTS
        for model, x, y in (("public one", 0.25, 0.2), ("public two", 0.9, 0.85))
    ]
    return pd.DataFrame(rows).assign(**columns, **robustness)


def similarities() -> Similarity:
    """Five bins of similarity for each pool at two sizes on ImageNet-V2, and of the first pool on ImageNet-R."""
    rows = [
        (pool, "mini_rn", size, "imagenet-v2", number, 0.5 + 0.1 * number + 0.01 * place, 0.1 * number + 0.02 * place)
        for place, pool in enumerate(heights())
        for size in SIZES[:2]
        for number in range(5)
    ]
    rows.append((SOURCES[0], "mini_rn", SIZES[1], "imagenet-r", 0, 0.7, 0.5))
    columns = ["pool", "architecture", "size", "testset", "bin", "similarity", "accuracy"]
    accuracy = pd.DataFrame(rows, columns=columns)
    limits = {"accuracy_low": accuracy["accuracy"] - 0.01, "accuracy_high": accuracy["accuracy"] + 0.01}
    # Too few images for the last bin of one pool.
    few = (accuracy["pool"] == SOURCES[0]) & (accuracy["bin"] == 4)
    return Similarity(accuracy.assign(n=np.where(few, 19, 400), **limits), "a teacher")


def write_page(
    path: Path,
    evaluations: pd.DataFrame | None = None,
    pools=POOLS,
    settings: Settings = SETTINGS,
    similarity: Similarity | None = None,
) -> Path:
    """The page of the example, or of other evaluations and pools."""
    evaluations = page_evaluations() if evaluations is None else evaluations
    page = explore_robustness(
        *(evaluations, "example", REFERENCE, SHIFTS, pools, settings),
        *(published_evaluations(), BASELINES, public_models()),
        similarity=similarity,
    )
    path.write_text(page, encoding="utf-8")
    return path
