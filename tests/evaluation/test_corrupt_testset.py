"""Corrupted test sets: every kind and severity is whole, worse than the original, and the same whenever it is made."""

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corrupt_testset import corrupt_testset
from testbed.evaluation.corruptions import KINDS, CorruptionError, corrupt
from testbed.evaluation.tasks import TestsetError, check_testset
from testbed.experiment.errors import ExperimentError
from testbed.miniweb.scenes import draw
from testbed.miniweb.testsets import make_testset
from testbed.records.files import add_member
from testbed.records.manifest import problem, read_json

IMAGES = 20
# ImageNet-C's severities, grouped so that in each group a higher one changes more of the pixels. Glass blur has fewer
# rounds at 2 and 4 than before, fog finer clouds from 4 on, snow larger flakes at 3; the elastic transform moves whole
# images at 1 and 2, and pixels within them from 3 on.
GROWING = dict.fromkeys(KINDS, [(1, 2, 3, 4, 5)]) | {
    "glass_blur": [(1, 3, 5), (2, 4, 5)],
    "snow": [(1, 2, 4, 5), (1, 3, 4, 5)],
    "fog": [(1, 2, 3), (1, 4, 5)],
    "elastic_transform": [(1, 2)],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    make_testset("imagenet", IMAGES, 0, folder)
    return folder


def members_of(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_severity_is_a_whole_test_set_that_differs(tmp_path, original, kind):
    distance = {}
    for severity in range(1, 6):
        folder = tmp_path / str(severity)
        manifest = corrupt_testset("mine", original, kind, severity, folder)
        check_testset("mine", folder)
        assert [problem(folder, file) for file in manifest["files"]] == [None] * 5
        assert [manifest[key] for key in ("of", "kind", "severity", "images")] == ["mine", kind, severity, IMAGES]
        for name in ("classnames.txt", "zeroshot_classification_templates.txt", "test/nshards.txt"):
            assert (folder / name).read_bytes() == (original / name).read_bytes()
        distances = []
        for shard in ("test/0.tar", "test/1.tar"):
            before, after = members_of(original / shard), members_of(folder / shard)
            assert [name.replace(".png", ".jpg") for name in before] == list(after)
            for name, content in before.items():
                if name.endswith(".cls"):
                    assert after[name] == content
                    continue
                new = after[name.replace(".png", ".jpg")]
                assert new.startswith(b"\xff\xd8")
                assert pixels_of(new).shape == (64, 64, 3)
                distances.append(np.abs(pixels_of(new) - pixels_of(content)).mean())
        assert min(distances) > 0.5
        distance[severity] = np.mean(distances)
    # More than what storing a JPEG file changes, and less than what is left of an image when it is replaced.
    assert 2 < max(distance.values()) < 100
    for group in GROWING[kind]:
        grown = [distance[severity] for severity in group]
        assert grown == sorted(set(grown)), f"{kind}: {distance}"


@pytest.mark.parametrize("kind", ["gaussian_noise", "glass_blur", "snow", "fog", "elastic_transform"])
def test_randomness_is_of_key_kind_and_severity_alone(tmp_path, original, kind):
    """Another run, and another division into shards and order of images, give the same files."""
    first, again = (corrupt_testset("mine", original, kind, 3, tmp_path / name) for name in ("a", "b"))
    assert first == again
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    mixed = tmp_path / "mixed"
    shutil.copytree(original, mixed)
    members = members_of(original / "test/1.tar") | members_of(original / "test/0.tar")
    (mixed / "test/nshards.txt").write_text("1\n")
    with tarfile.open(mixed / "test/0.tar", "w") as tar:
        for key in sorted({name.partition(".")[0] for name in members}, reverse=True):
            for name in (f"{key}.cls", f"{key}.png"):
                add_member(tar, name, members[name])
    corrupt_testset("mine", mixed, kind, 3, tmp_path / "c")
    both = members_of(tmp_path / "a/test/0.tar") | members_of(tmp_path / "a/test/1.tar")
    assert members_of(tmp_path / "c/test/0.tar") == both
    image = draw("cat", "photo", 1, 64)
    same = {corrupt(image, kind, severity, key).tobytes() for key in ("1", "2") for severity in (2, 3)}
    assert len(same) == 4


def test_whole_shards_are_kept_and_others_made_again(tmp_path, original):
    manifest = corrupt_testset("mine", original, "contrast", 2, tmp_path)
    before = digests(tmp_path)
    kept, cut = tmp_path / "test/0.tar", tmp_path / "test/1.tar"
    written = kept.stat().st_mtime_ns
    cut.write_bytes(cut.read_bytes()[:-1])
    assert corrupt_testset("mine", original, "contrast", 2, tmp_path) == manifest
    assert digests(tmp_path) == before
    assert kept.stat().st_mtime_ns == written
    corrupt_testset("mine", original, "contrast", 2, tmp_path, again=True)
    assert kept.stat().st_mtime_ns > written
    assert corrupt_testset("mine", original, "contrast", 3, tmp_path) != manifest
    assert digests(tmp_path)["test/0.tar"] != before["test/0.tar"]


def test_a_change_of_the_original_is_followed(tmp_path, original):
    source = tmp_path / "source"
    shutil.copytree(original, source)
    manifest = corrupt_testset("mine", source, "brightness", 1, tmp_path / "made")
    shutil.copy(source / "test/0.tar", source / "test/1.tar")
    changed = corrupt_testset("mine", source, "brightness", 1, tmp_path / "made")
    assert changed["files"][-1]["sha256"] == changed["files"][-2]["sha256"] == manifest["files"][-2]["sha256"]


@pytest.mark.parametrize("content", [b"", b"no image", "cut"])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, original, content):
    source = tmp_path / "source"
    shutil.copytree(original, source)
    members = members_of(original / "test/1.tar")
    members["000003.png"] = members["000003.png"][:-200] if content == "cut" else content
    with tarfile.open(source / "test/1.tar", "w") as tar:
        for name, file in members.items():
            add_member(tar, name, file)
    with pytest.raises(TestsetError, match=rf"{source}/test/1.tar: the image of 000003 cannot be decoded.*Replace it"):
        corrupt_testset("mine", source, "fog", 1, tmp_path / "made")
    made = tmp_path / "made/test"
    assert (made / "0.json").is_file()
    assert not (made / "1.tar").exists() and not (made / "1.json").exists()


def test_a_missing_file_of_the_original_is_named(tmp_path, original):
    source = tmp_path / "source"
    shutil.copytree(original, source)
    (source / "test/1.tar").unlink()
    with pytest.raises(ExperimentError, match="test/1.tar is missing"):
        corrupt_testset("mine", source, "fog", 1, tmp_path / "made")


@pytest.mark.parametrize(
    ("kind", "severity", "words"),
    [
        ("frost", 1, "corrupt.kind: 'frost' is not a corruption. Use one of: gaussian_noise"),
        ("fog", 0, "corrupt.severity: 0 .* 1 to 5"),
        ("fog", 6, "corrupt.severity: 6 .* 1 to 5"),
    ],
)
def test_an_unknown_corruption_is_named(tmp_path, original, kind, severity, words):
    with pytest.raises(CorruptionError, match=words):
        corrupt_testset("mine", original, kind, severity, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_sets_for_retrieval_keep_their_captions(tmp_path, original):
    source = tmp_path / "source"
    (source / "test").mkdir(parents=True)
    (source / "dataset_type.txt").write_text("retrieval")
    (source / "test/nshards.txt").write_text("1")
    with tarfile.open(source / "test/0.tar", "w") as tar:
        add_member(tar, "a/1.png", members_of(original / "test/0.tar")["000000.png"])
        add_member(tar, "a/1.txt", b"a cat\na dog")
    corrupt_testset("mine", source, "fog", 1, tmp_path / "made")
    members = members_of(tmp_path / "made/test/0.tar")
    assert (list(members), members["a/1.txt"]) == (["a/1.jpg", "a/1.txt"], b"a cat\na dog")
    assert (tmp_path / "made/dataset_type.txt").read_text() == "retrieval"


def test_images_are_stored_as_those_of_imagenet_c(tmp_path, original):
    corrupt_testset("mine", original, "snow", 2, tmp_path)
    image = Image.open(io.BytesIO(members_of(original / "test/0.tar")["000000.png"]))
    file = io.BytesIO()
    corrupt(image, "snow", 2, "000000").save(file, "JPEG", quality=85)
    assert members_of(tmp_path / "test/0.tar")["000000.jpg"] == file.getvalue()


def test_records_say_what_was_asked_for(tmp_path, original):
    corrupt_testset("mine", original, "pixelate", 5, tmp_path)
    entry = read_json(tmp_path / "test/0.json")
    assert (entry["images"], problem(tmp_path / "test", entry)) == (IMAGES // 2, None)
