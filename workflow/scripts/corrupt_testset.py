"""Make a synthetic shift: a copy of a test set with corrupted images.

Images are JPEG files of quality 85, as in ImageNet-C. Published accuracies on ImageNet-C are for such files, and lossless
files of noisy images are several times larger.

In:  the folder of a test set in CLIP_benchmark's local WebDataset format
Out: a manifest; beside it classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt and test/N.tar with
     <key>.jpg and <key>.cls of each image, and test/N.json (the shard's record: a restarted job keeps recorded shards)
"""

import io
import logging
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from testbed.evaluation.corruptions import corrupt, jpeg_file, parameters_of
from testbed.evaluation.tasks import CLIP_BENCHMARK_FILES, TARGET_EXTENSIONS, TestsetError, check_testset, task_of
from testbed.evaluation.testsets import read_samples, shards_of
from testbed.records.files import add_member, publish, sha256
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import ManifestError, digest, problem, read_json, record, write_json
from testbed.records.processes import is_forced, terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake

QUALITY = 85
# Test sets for image-text retrieval or multi-label classification have dataset_type.txt.
TEXTS = (*CLIP_BENCHMARK_FILES, "dataset_type.txt")


def corrupt_file(content: bytes, kind: str, severity: int, key: str) -> bytes:
    """The corrupted image of the file `content`, as a JPEG file; raises `TestsetError` if it cannot be decoded."""
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    # Pillow raises these for damaged files of different formats.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise TestsetError(
            f"the image of {key} cannot be decoded ({error}). Replace it, or remove {key} from the test set."
        ) from error
    return jpeg_file(corrupt(image, kind, severity, key), QUALITY)


def write_shard(source: Path, task: str, kind: str, severity: int, path: Path) -> int:
    """Write the shard `source` with corrupted images to `path`; returns the number of images."""
    temporary, images = path.with_name(f".{path.name}.tmp"), 0
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
        for key, content, target in read_samples(source, task):
            try:
                add_member(archive, f"{key}.jpg", corrupt_file(content, kind, severity, key))
            except TestsetError as error:
                raise TestsetError(f"{source}: {error}") from error
            add_member(archive, f"{key}.{TARGET_EXTENSIONS[task]}", target)
            images += 1
    publish(temporary, path)
    return images


def valid_record(path: Path, request: str) -> dict | None:
    """The record of the shard `path`, or None unless the shard is complete and matches `request`."""
    try:
        entry = read_json(path.with_suffix(".json"))
    except ManifestError:
        return None
    return entry if entry["request"] == request and problem(path.parent, entry) is None else None


def corrupt_testset(original: str, source: Path, kind: str, severity: int, folder: Path, again: bool = False) -> dict:
    """Write a corrupted copy of the test set `original` (in the folder `source`) into `folder`; returns its manifest.

    Complete shards with the same request are kept, unless `again`. Raises `CorruptionError` for an unknown kind or
    severity, `ExperimentError` for a missing file and `TestsetError` for a damaged one.
    """
    parameters = parameters_of(kind, severity)
    check_testset(original, source)
    task = task_of(source)
    (folder / "test").mkdir(parents=True, exist_ok=True)
    texts = [name for name in TEXTS if (source / name).is_file()]
    for name in texts:
        shutil.copyfile(source / name, folder / name)
    files, images = [{**record(folder / name), "name": name} for name in texts], 0
    for shard in shards_of(source):
        path = folder / "test" / shard.name
        request = digest([kind, severity, parameters, QUALITY, task, sha256(shard)])
        entry = None if again else valid_record(path, request)
        if entry is None:
            entry = {"images": write_shard(shard, task, kind, severity, path), "request": request, **record(path)}
            write_json(path.with_suffix(".json"), entry)
            logging.log(PROGRESS, "%s: %d images in %s", folder.name, entry["images"], path.name)
        images += entry["images"]
        files.append({"name": f"test/{path.name}", "bytes": entry["bytes"], "sha256": entry["sha256"]})
    return {"of": original, "kind": kind, "severity": severity, "images": images, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    manifest = Path(snakemake.output.manifest)
    params = snakemake.params
    with locked(manifest.parent):
        content = corrupt_testset(
            params.of, Path(params.folder), params.kind, params.severity, manifest.parent, is_forced("corrupt_testset")
        )
        write_json(manifest, content)
