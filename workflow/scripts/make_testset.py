"""Draw a test set of the mini-web in CLIP_benchmark's local WebDataset format.

In:  nothing but a seed
Out: a manifest; beside it classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt and test/N.tar with
     <key>.png and <key>.cls of each image, as many of each class
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.archive import add_member
from testbed.log import log_to
from testbed.manifest import publish, record, write_json
from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES, TESTSETS

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHARDS = 2
SIZE = 64
# Apart from every source's seeds, which are drawn from [seed, number of the source].
STREAM = 1000
TEMPLATES = (
    "a photo of a {c}",
    "a picture of a {c}",
    "a {c}",
    "a drawing of a {c}",
    "a painting of a {c}",
    "a sketch of a {c}",
    "the {c}",
    "a close-up of a {c}",
)


def draw_testset(kind: str, images: int, seed: int) -> Iterator[tuple[str, bytes, int]]:
    """Key, PNG file and label of each image of the test set that stands for `kind`, class after class in turn."""
    domains = TESTSETS[kind]
    stream = np.random.default_rng(np.random.SeedSequence([seed, STREAM, list(TESTSETS).index(kind)]))
    chosen = stream.choice(list(domains), size=images, p=list(domains.values()))
    seeds = stream.integers(2**62, size=images)
    for number in range(images):
        label = number % len(CLASSES)
        image = draw(CLASSES[label].name, str(chosen[number]), int(seeds[number]), SIZE)
        file = io.BytesIO()
        image.save(file, "PNG")
        yield f"{number:06d}", file.getvalue(), label


def write_shards(samples: list[tuple[str, bytes, int]], folder: Path) -> list[Path]:
    """Write samples (key, image, label) as test/0.tar, test/1.tar, ... under `folder`; returns their paths."""
    paths = []
    for shard in range(SHARDS):
        path = folder / "test" / f"{shard}.tar"
        temporary = path.with_name(f".{path.name}.tmp")
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for key, image, label in samples[shard::SHARDS]:
                add_member(archive, f"{key}.png", image)
                add_member(archive, f"{key}.cls", str(label).encode())
        publish(temporary, path)
        paths.append(path)
    return paths


def make_testset(kind: str, images: int, seed: int, folder: Path) -> dict:
    """Draw the test set that stands for `kind`, with `images` images, into `folder`; returns its manifest."""
    (folder / "test").mkdir(parents=True, exist_ok=True)
    texts = {
        "classnames.txt": [entry.name for entry in CLASSES],
        "zeroshot_classification_templates.txt": TEMPLATES,
        "test/nshards.txt": [str(SHARDS)],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shards = write_shards(list(draw_testset(kind, images, seed)), folder)
    paths = [*(folder / name for name in texts), *shards]
    files = [{**record(path), "name": str(path.relative_to(folder))} for path in paths]
    return {"kind": kind, "seed": seed, "images": images, "classes": len(CLASSES), "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    manifest = Path(snakemake.output.manifest)
    params = snakemake.params
    write_json(manifest, make_testset(params.kind, int(params.images), int(params.seed), manifest.parent))
