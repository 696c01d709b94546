"""A pool whose card is known: captions of strangers, images of some colours, and a filter that keeps a part of it."""

import io
import json
from functools import cache
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from describe_pool import Pool, describe_pool
from filter_tables import write_pool
from near_images import drawing, jpeg
from select_samples import select_samples
from testbed.cards.card import card_page
from testbed.filtering.selection import load_classifier
from testbed.records.manifest import write_json

CLASSES = ["dog", "ice cream", "Cat", "crane", "crane"]
HOSTILE = {
    "script": "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">",
    "quotes": """"double" 'single' `back` &amp; --> ]]> [[main]] {{ snakemake }}""",
    "long": "endless " + "x" * 10_000,
    "hebrew": "\u05db\u05dc\u05d1 \u05d2\u05d3\u05d5\u05dc (\u05d1\u05d9\u05ea) 3 \u05d0\u05e0\u05e9\u05d9\u05dd",
    "override": "photo \u202egnp.exe\u202c of a dog \u2066 open",
    "emoji": "family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 thumb \U0001f44d\U0001f3fd "
    "flag \U0001f1eb\U0001f1f7 heart \u2764\ufe0f",
    "controls": "bell\x07 null\x00 escape\x1b[31m tab\tend",
    "accents": "Z\u0351\u0351\u0351a\u0301" + "\u0300" * 60 + "lgo",
    "url": "javascript:alert(1) data:text/html,<b>x</b>",
}
SAMPLING = {"images": 96, "caption_sample": 1000, "image_sample": 30}
SENTENCES = ["A dog in the park", "two dogs, and a cat", "ICE CREAM for sale", "nothing here"]


# It takes a second to load.
classifier = cache(load_classifier)


def draw(number: int) -> bytes:
    """A JPEG: every third one is grey."""
    shade = 37 * number % 200
    colour = (shade, shade, shade) if number % 3 == 0 else (220, shade, 30)
    file = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, "JPEG")
    return file.getvalue()


def captions(count: int = 40) -> list[str]:
    """Sentences, with the hostile captions among them."""
    return [*HOSTILE.values(), *(SENTENCES[number % len(SENTENCES)] for number in range(count))]


def write_example(folder: Path, listed: list[str] | None = None) -> tuple[Path, Path]:
    """The table of a pool's samples and that of a filter that keeps its longer captions; shards lie beside the first."""
    listed = captions() if listed is None else listed
    samples = write_pool(folder / "mine", listed, images=[draw(number) for number in range(len(listed))])
    kept = folder / "kept"
    kept.mkdir()
    write_json(kept / "manifest.json", select_samples(samples, {"method": "basic", "minimum_words": 4}, kept))
    return samples, kept


def describe(samples: Path, parent: Path | None = None, sampling=SAMPLING, scores: Path | None = None):
    """The description, words and sheet of a pool of `write_example`."""
    shards = (parent or samples).parent / "shards"
    return describe_pool(Pool(samples, parent, scores), shards, CLASSES, sampling, classifier())


def counted(source: str) -> dict:
    """What was counted of the near-duplicates in a source."""
    found = {"images": 1000, "flat": 1, "near_images": 20, "near_samples": 1234}
    testsets = {"near": found, "far": found | {"near_images": 0, "near_samples": 0}}
    within = {"samples": 500_000, "near_samples": 25_000}
    common = {"source": source, "samples": 2_000_000, "near_samples": 1234, "distance": 10}
    return common | {"testsets": testsets, "within": within}


TITLES = {"near": "Near & <dear>", "far": "A test set with a name that is longer than others"}


def pairs_of(sheet: pa.Table) -> list[dict]:
    """Pairs of a sample and a test image, for which a drawing stands; the first is flagged."""
    test_image = {"testset": "near", "distance": 3, "test_thumbnail": jpeg(drawing(1))}
    pairs = [row | test_image for row in sheet.to_pylist()[:3]]
    return [pair | {"flagged": place == 0} for place, pair in enumerate(pairs)]


def page_of(described, rivals=None, blur: str = "flagged", kind: str = "source", overlap: str = "") -> str:
    """The card of a described pool."""
    description, words, sheet = described
    pool = {"name": description["pool"], "title": "Mine & <yours>", "kind": kind, "reference": "ImageNet", "from": "It"}
    return card_page(description, pool, sheet.to_pylist(), words, rivals or {}, blur, overlap)


def with_column(samples: Path, name: str, values: list) -> None:
    """Give the table of a pool's samples one more column, as a list with flags has it."""
    manifest = json.loads((samples / "manifest.json").read_text())
    start = 0
    for file in manifest["files"]:
        table = parquet.read_table(samples / file["name"])
        table = table.append_column(name, pa.array(values[start : start + len(table)]))
        start += len(table)
        parquet.write_table(table, samples / file["name"])
        file["bytes"] = (samples / file["name"]).stat().st_size
    write_json(samples / "manifest.json", manifest)
