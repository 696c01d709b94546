"""Scores pairs for the tests, in a process of its own: ``python score_runs.py REQUEST``, a JSON of arguments.

``die_in`` has it killed (kill -9) when it comes to that part; ``own`` gives open_clip's own similarities, pair by pair, and
those of images with these classes, and its embeddings of images; ``testset`` has the images embedded, and those of this test
set, whose folder is ``embedded``.
"""

import io
import json
import os
import signal
import sys
from pathlib import Path

import open_clip
import torch
from PIL import Image

import score_pairs
from embed_images import embed_images
from embed_testset import embed_testset
from testbed.records.manifest import write_json
from testbed.records.parts import read_parts
from testbed.shards.samples import read_image


def own_similarities(samples: Path, shards: Path, teacher: Path, classes: list[str]) -> dict[str, list]:
    """What open_clip's forward pass gives of each pair alone: cosine similarity, those of its image with classes, and the
    embedding of the image."""
    name = f"local-dir:{teacher}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    model, tokenizer = model.eval(), open_clip.get_tokenizer(name)
    found: dict[str, list] = {"pairs": [], "classes": [], "images": []}
    for table in read_parts(samples):
        for row in table.to_pylist():
            with open(shards / row["shard"], "rb") as file, torch.no_grad():
                image = transform(Image.open(io.BytesIO(read_image(file, row["offset"]))))
                image, texts, _ = model(image[None], tokenizer([row["caption"], *classes]))
            pair, *others = torch.nn.functional.cosine_similarity(image, texts).tolist()
            found["pairs"].append(pair)
            found["classes"].append(others)
            found["images"].append(torch.nn.functional.normalize(image[0], dim=0).tolist())
    return found


def embed_both(samples: Path, shards: Path, teacher: Path, testset: Path, folder: Path, **options) -> None:
    """Write the embeddings of the samples into `folder`/images, and those of the test set into `folder`/testset."""
    images, tests = folder / "images", folder / "testset"
    for made in (images, tests):
        made.mkdir(parents=True)
    options = {"device": "cpu", "batch_size": 16, "workers": 2} | options
    write_json(images / "manifest.json", embed_images(samples, shards, teacher, images, **options))
    write_json(tests / "manifest.json", embed_testset(testset, teacher, tests, **options))
    print(json.dumps("embedded"))


def main(asked: dict) -> None:
    die_in, own = asked.pop("die_in", None), asked.pop("own", None)
    paths = {key: Path(asked.pop(key)) for key in ("samples", "shards", "teacher")}
    if own:
        print(json.dumps(own_similarities(**paths, classes=own)))
        return
    if testset := asked.pop("testset", None):
        embed_both(**paths, testset=Path(testset), folder=Path(asked.pop("embedded")), **asked)
        return
    scored, score = [], score_pairs.Teacher.score

    def counted(self, shards, table):
        if len(scored) == die_in:
            os.kill(os.getpid(), signal.SIGKILL)
        scored.append(len(table))
        return score(self, shards, table)

    score_pairs.Teacher.score = counted
    folder, reference = Path(asked.pop("folder")), asked.pop("reference", None)
    folder.mkdir(exist_ok=True)
    manifest = score_pairs.score_pairs(**paths, folder=folder, reference=reference and Path(reference), **asked)
    write_json(folder / "manifest.json", manifest)
    print(json.dumps(scored))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
