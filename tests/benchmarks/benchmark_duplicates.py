"""Near-duplicates: which changes of an image the hash survives, images hashed per second, and the time of both searches.

uv run python tests/benchmarks/benchmark_duplicates.py

Without options, all of them. Changes are made to drawings of the mini-web, of all its visual domains but the empty one. A
pool of unrelated drawings has one changed copy for every ninth of them. Recall is the share of the copies that are found to
be near-duplicates of their originals. Precision is the share of copies among all samples of the pool that are found to be
near-duplicates of any original.

With --tars, the images of these tars are used in place of drawings, for example --tars results/shards/yfcc/00000?.tar.
Near-duplicates that they have already then count as mistakes.
"""

import argparse
import io
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageEnhance, ImageOps
from pyarrow import parquet
from tables import ROOT

sys.path[:0] = [str(ROOT / "workflow" / "scripts")]

from find_duplicates import find_duplicates  # noqa: E402
from testbed.filtering.hash_search import pairs_between  # noqa: E402
from testbed.filtering.image_hashes import (  # noqa: E402
    BITS,
    SCHEMA,
    SIMILAR,
    Hashes,
    hash_table,
    shrink,
    similarity,
    transform,
    weigh,
)
from testbed.filtering.near_duplicates import near_between  # noqa: E402
from testbed.filtering.near_search import ByHash  # noqa: E402
from testbed.miniweb.scenes import draw  # noqa: E402
from testbed.miniweb.world import CLASSES, DOMAINS  # noqa: E402
from testbed.records.manifest import record, write_json  # noqa: E402

DRAWN = [domain for domain in DOMAINS if domain != "junk"]
DRAWN_SIZE = 128


def crop(share: float) -> Callable:
    """Cut this share of width and height away, at random sides."""

    def change(image: Image.Image, random: np.random.Generator) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        left, top = random.integers(image.width - width + 1), random.integers(image.height - height + 1)
        return image.crop((left, top, left + width, top + height))

    return change


CHANGES: dict[str, tuple[Callable, int]] = {
    "JPEG, quality 50": (lambda image, _: image, 50),
    "JPEG, quality 20": (lambda image, _: image, 20),
    "half as wide and high": (lambda image, _: image.resize((image.width // 2, image.height // 2), Image.LANCZOS), 90),
    "crop, 5 % of the area": (crop(1 - 0.95**0.5), 90),
    "30 % brighter": (lambda image, _: ImageEnhance.Brightness(image).enhance(1.3), 90),
    "30 % darker": (lambda image, _: ImageEnhance.Brightness(image).enhance(0.7), 90),
    "30 % more contrast": (lambda image, _: ImageEnhance.Contrast(image).enhance(1.3), 90),
    "grey": (lambda image, _: ImageOps.grayscale(image), 90),
    "crop, 10 % of the area": (crop(1 - 0.9**0.5), 90),
    "crop, 20 % of the area": (crop(1 - 0.8**0.5), 90),
    "crop, 40 % of the area": (crop(1 - 0.6**0.5), 90),
    "rotated by 2 degrees": (lambda image, _: image.rotate(2, Image.BICUBIC), 90),
    "rotated by 5 degrees": (lambda image, _: image.rotate(5, Image.BICUBIC), 90),
    "mirrored": (lambda image, _: ImageOps.mirror(image), 90),
    "black border, 5 % each side": (lambda image, _: ImageOps.expand(image, image.width // 20), 90),
}
"""Changes by name: a function of image and random numbers, and the quality of the JPEG."""


def jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def drawing(number: int, size: int = DRAWN_SIZE) -> bytes:
    domain, subject = DRAWN[number % len(DRAWN)], CLASSES[number // len(DRAWN) % len(CLASSES)].name
    return jpeg(draw(subject, domain, int(np.random.default_rng(number).integers(2**62)), size), 90)


def variants(number: int, content: bytes) -> list[np.ndarray]:
    """The shrunk image of a file, and of each change of it."""
    random = np.random.default_rng(number)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return [shrink(content), *(shrink(jpeg(change(image, random), quality)) for change, quality in CHANGES.values())]


def original(number: int) -> list[np.ndarray]:
    return variants(number, drawing(number))


def unrelated(number: int) -> np.ndarray:
    return shrink(drawing(number))


def images_of(tars: list[str]) -> Iterator[bytes]:
    for path in tars:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith((".jpg", ".jpeg", ".png", ".webp")):
                    yield archive.extractfile(member).read()


def hashes_of(pixels: list[np.ndarray]) -> Hashes:
    return Hashes([hash_table([""] * len(pixels), np.stack(pixels))])


def measure_changes(number: int, tars: list[str], distances: list[int]) -> None:
    """Print recall and precision of each change, for a number of originals and nine times as many unrelated images."""
    with Pool(2) as pool:
        if tars:
            files = [content for content, _ in zip(images_of(tars), range(10 * number), strict=False)]
            number = len(files) // 10
            originals = pool.starmap(variants, enumerate(files[:number]), 20)
            others = pool.map(shrink, files[number:], 20)
        else:
            originals = pool.map(original, range(number), 20)
            others = pool.map(unrelated, range(number, 10 * number), 20)
    first, *changed = zip(*originals, strict=True)
    tested, rest = hashes_of(first), hashes_of(others)
    print(
        f"\n### Changes\n\n{number:,} originals, {len(others):,} other images; flat: {number - len(tested)}, ", end=""
    )
    print(f"{len(others) - len(rest)}.\n")
    print(f"| | {' | '.join(f'{what}, distance {d}' for d in distances for what in ('recall', 'precision'))} |")
    print(f"|---|{'---|' * 2 * len(distances)}")
    wrong = {far: len(set(near_between(rest, tested, far).first.tolist())) for far in distances}
    for name, pixels in zip(CHANGES, changed, strict=True):
        cells = []
        for far in distances:
            pairs = near_between(hashes_of(list(pixels)), tested, far)
            right = int((pairs.first == pairs.second).sum())
            cells += [f"{100 * right / number:.1f} %", f"{100 * right / max(1, right + wrong[far]):.1f} %"]
        print(f"| {name} | {' | '.join(cells)} |")
    pairs = len(tested) * len(rest)
    for far in distances:
        found = len(pairs_between(rest.hashes, tested.hashes, far).first)
        both = len(near_between(rest, tested, far).first)
        print(
            f"\nOf a million pairs of unrelated images at distance {far}: {1e6 * found / pairs:.2f} by their hashes, "
        )
        print(f"{1e6 * both / pairs:.2f} by hashes and coefficients.")


def measure_flat(number: int = 200) -> None:
    """Print how near faded drawings are to their JPEGs of quality 50, by the contrast that is left."""
    print(
        "\n### Flat images\n\n| standard deviation | bits that differ, 95th percentile | near-duplicates |\n|---|---|---|"
    )
    for deviation in (1, 2, 3, 4, 6, 10):
        faded, copies = [], []
        for place in range(number):
            grey = np.asarray(Image.open(io.BytesIO(drawing(place))).convert("L"), float)
            grey = 128 + (grey - grey.mean()) * deviation / max(1e-9, shrink(drawing(place)).std())
            image = Image.fromarray(grey.clip(0, 255).round().astype(np.uint8))
            faded.append(shrink(jpeg(image, 90)))
            copies.append(shrink(jpeg(image, 50)))
        signs, others = (transform(np.stack(pixels))[0] for pixels in (faded, copies))
        far = np.count_nonzero((signs > 0) != (others > 0), axis=1)
        alike = similarity(*(weigh(one) for one in (signs, others))) >= SIMILAR
        near = np.mean(alike & (far <= 10))
        print(f"| {deviation} | {np.quantile(far, 0.95):.0f} | {100 * near:.1f} % |")


def measure_hashing(number: int = 300, repeats: int = 5) -> None:
    """Print how many JPEGs of 256 x 256 pixels one core hashes per second."""
    files = [drawing(place, 256) for place in range(number)]
    started = time.process_time()
    for _ in range(repeats):
        hash_table([""] * number, np.stack([shrink(content) for content in files]))
    rate = number * repeats / (time.process_time() - started)
    size = np.mean([len(content) for content in files]) / 1e3
    print(f"\n### Hashing\n\n{rate:,.0f} images/s of processor time; JPEGs of 256 pixels, {size:.0f} kB on average.")


def measure_search(samples: int, images: int, distance: int, batch: int = ByHash.batch) -> None:
    """Print the time and memory of comparing random hashes, in batches as find_duplicates does."""
    random = np.random.default_rng(0)
    tested = random.integers(0, 2**64, images, dtype=np.uint64)
    started, used, found = time.monotonic(), time.process_time(), 0
    for start in range(0, samples, batch):
        pool = random.integers(0, 2**64, min(batch, samples - start), dtype=np.uint64)
        found += len(pairs_between(pool, tested, distance, 2).first)
    seconds, used = time.monotonic() - started, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"\n### Search\n\n{samples:,} hashes against {images:,}, distance {distance}: {seconds:,.0f} s in two threads, "
        f"{used:,.0f} s of processor time, peak {memory:,.0f} MB, {found:,} pairs."
    )


def made_up_hashes(first: int, number: int, random: np.random.Generator) -> pa.Table:
    """A table of random hashes, as of unrelated images. One of twenty images is a near-duplicate of the one before it."""
    coefficients = random.normal(size=(number, BITS))
    coefficients[19::20] = coefficients[18:-1:20] + 0.1 * random.normal(size=coefficients[19::20].shape)
    hashes = np.packbits(coefficients > 0, axis=1, bitorder="little").view("<u8")[:, 0]
    stored = weigh(coefficients / np.sqrt(np.arange(1, BITS + 1)))
    columns = [[f"{place:032x}" for place in range(first, first + number)], hashes, list(map(bytes, stored))]
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)


def measure_deduplicating(samples: int, distance: int, part: int = 10_000) -> None:
    """Print the time and memory of finding near-duplicates within a pool with made-up hashes, as the rule does it."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / kind for kind in ("samples", "hashes", "found")]
        for folder in folders:
            folder.mkdir()
        files: dict[Path, list] = {folder: [] for folder in folders[:2]}
        for start in range(0, samples, part):
            table = made_up_hashes(start, min(part, samples - start), random)
            for folder, own in zip(folders, (table.select(["uid"]), table), strict=False):
                path = folder / f"{start // part:06d}.parquet"
                parquet.write_table(own, path)
                files[folder].append(record(path, rows=len(own)))
        for folder, recorded in files.items():
            write_json(folder / "manifest.json", {"pool": "made_up", "samples": samples, "files": recorded})
        started, used = time.monotonic(), time.process_time()
        found = find_duplicates(*folders, distance, threads=2)
        seconds, used = time.monotonic() - started, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"\n### Deduplicating\n\n{samples:,} images, distance {distance}: {seconds:,.0f} s in two threads, {used:,.0f} s of "
        f"processor time, peak {memory:,.0f} MB, {found['near_duplicates']:,} near-duplicates."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--originals", type=int, default=1000, help="images that are changed; 0 leaves this out")
    parser.add_argument("--tars", nargs="*", default=[], help="tars with images, in place of drawings")
    parser.add_argument("--distances", type=int, nargs="*", default=[8, 10, 12])
    parser.add_argument("--samples", type=int, default=10_000_000, help="hashes of the search; 0 leaves this out")
    parser.add_argument("--images", type=int, default=150_000)
    parser.add_argument("--pool", type=int, default=3_000_000, help="images of a pool; 0 leaves it out")
    parser.add_argument("--distance", type=int, default=10)
    asked = parser.parse_args()
    if asked.samples:
        measure_search(asked.samples, asked.images, asked.distance)
    if asked.pool:
        measure_deduplicating(asked.pool, asked.distance)
    measure_hashing()
    measure_flat()
    if asked.originals:
        measure_changes(asked.originals, asked.tars, asked.distances)


if __name__ == "__main__":
    main()
