"""Test sets of the mini-web: what CLIP_benchmark reads, all classes alike, the same for the same seed."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from testbed.evaluation.tasks import check_testset
from testbed.miniweb.testsets import TEMPLATES, make_testset
from testbed.miniweb.world import CLASSES, TESTSETS
from testbed.records.manifest import problem


def images_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Image and label of each key of a test set."""
    members = {}
    for path in sorted((folder / "test").glob("*.tar")):
        with tarfile.open(path) as tar:
            members |= {member.name: tar.extractfile(member).read() for member in tar}
    keys = {name.partition(".")[0] for name in members}
    return {key: (members[f"{key}.png"], int(members[f"{key}.cls"])) for key in keys}


@pytest.mark.parametrize("kind", TESTSETS)
def test_a_test_set_is_whole_and_recorded(tmp_path, kind):
    manifest = make_testset(kind, 41, 0, tmp_path)
    check_testset(kind, tmp_path)
    assert [problem(tmp_path, file) for file in manifest["files"]] == [None] * 5
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {file["name"] for file in manifest["files"]} == files
    images = images_of(tmp_path)
    assert len(images) == manifest["images"] == 41
    assert {Image.open(io.BytesIO(content)).size for content, _ in images.values()} == {(64, 64)}


def test_classes_are_alike_in_number_and_in_the_order_of_their_names(tmp_path):
    make_testset("imagenet", 3 * len(CLASSES), 0, tmp_path)
    assert Counter(label for _, label in images_of(tmp_path).values()) == dict.fromkeys(range(len(CLASSES)), 3)
    assert (tmp_path / "classnames.txt").read_text().splitlines() == [entry.name for entry in CLASSES]
    templates = (tmp_path / "zeroshot_classification_templates.txt").read_text().splitlines()
    assert templates == list(TEMPLATES)
    assert all(template.format(c="cat").count("cat") == 1 for template in templates)


def test_the_seed_decides_every_image(tmp_path):
    first, again, other = (
        make_testset("sketch", 20, seed, tmp_path / name) for name, seed in {"a": 0, "b": 0, "c": 1}.items()
    )
    assert first == again
    same = set(images_of(tmp_path / "a").values()) & set(images_of(tmp_path / "c").values())
    assert (same, other["seed"]) == (set(), 1)


def test_no_two_test_sets_share_an_image(tmp_path):
    seen = [images_of(tmp_path / kind) for kind in TESTSETS if make_testset(kind, 20, 0, tmp_path / kind)]
    contents = [content for images in seen for content, _ in images.values()]
    assert len(set(contents)) == 20 * len(TESTSETS)
