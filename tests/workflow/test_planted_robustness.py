"""A source that is robust on a shift only because it has copies of its test images: trained, evaluated and found out."""

import csv
import io
from pathlib import Path

import pytest
import yaml

from runs import TINY, copy_workflow, run_snakemake
from testbed.miniweb.planted import CHANGES, change_image
from testbed.miniweb.scenes import draw
from testbed.miniweb.testsets import SIZE, labels_in_turn, scenes_of_testset
from testbed.miniweb.world import CLASSES

TEST_IMAGES, COPIES, PHOTOS = 1000, 500, 1000
EXPERIMENT = {
    "sources": {"copied": {"files": {"path": "photos"}, "sizes": [500]}},
    "filters": {
        "apart": {"from": "copied", "method": "decontaminate", "against": ["mini_sketch"]},
        "drawn": {"from": "copied", "method": "random", "as_many_as": "apart"},
    },
    "sizes": [500, 700, 900],
    "testsets": {"mini_imagenet": {"miniweb": "imagenet"}, "mini_sketch": {"miniweb": "sketch"}},
    "statistics": {"baseline": "none"},
    "miniweb": {"testset_images": TEST_IMAGES},
    "shards": {"shard_size": 500},
    "cards": {"make": False},
    "similarity": {},
}


def write_photos(folder: Path) -> None:
    """Photographs of all classes, and changed copies of half the test images of Mini-Sketch; all have captions."""
    folder.mkdir()
    labels = [CLASSES[number].name for number in labels_in_turn(TEST_IMAGES)]
    images = {}
    for n, scene in enumerate(scenes_of_testset("sketch", labels, 0)[:COPIES]):
        images[f"copy{n:04d}"] = change_image(draw(*scene, SIZE), CHANGES[n % len(CHANGES)]), scene.label
    for n in range(PHOTOS):
        label = CLASSES[n % len(CLASSES)].name
        images[f"photo{n:04d}"] = draw(label, "photo", 10**6 + n, SIZE), label
    for name, (image, label) in images.items():
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=95)
        (folder / f"{name}.jpg").write_bytes(file.getvalue())
        (folder / f"{name}.txt").write_text(f"a picture of a {label}")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = copy_workflow(tmp_path_factory.mktemp("planted") / "clone")
    write_photos(folder / "photos")
    config = yaml.safe_load(TINY.read_text(encoding="utf-8")) | EXPERIMENT
    del config["mixtures"], config["ensembles"], config["architectures"]["mini_rn"]["checkpoint_steps"]
    config["architectures"]["mini_rn"] |= {"batch_size": 64, "epochs": 8, "warmup": 0.5, "beta2": 0.98}
    (folder / "planted.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    run_snakemake(folder, "results/claims.csv", "--configfile", "planted.yaml")
    return folder


def test_a_lead_that_planted_copies_give_contradicts_the_claim(run):
    with open(run / "results/claims.csv", newline="", encoding="utf-8") as file:
        (claim,) = [row for row in csv.DictReader(file) if row["claim"] == "not_from_duplicates"]
    assert claim["verdict"] == "contradicted", claim
