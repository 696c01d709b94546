"""Decode, resize and crop the images of a test set once for all models of an architecture.

Decoding takes most of an evaluation's time, is the same for every model, and needs no GPU here. evaluate_clip applies the
rest of the transform (conversion to float, normalisation) on its device.

In:  a test set in CLIP_benchmark's local WebDataset format, and the architecture's model
Out: a manifest; beside it images.npy (N, H, W, 3; uint8) and samples.parquet with the key and answer (target) of each
"""

import io
import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from testbed.evaluation.preprocessing import EVALUATION, Preprocessing
from testbed.evaluation.tasks import TARGET_EXTENSIONS, TestsetError, check_classes, task_of
from testbed.evaluation.testsets import IMAGES_FILE, SAMPLES_FILE, count_samples, parse_target, read_samples, shards_of
from testbed.models.networks import model_folder, network_config
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    from snakemake.script import snakemake


def preprocessing_of(model: str, tag: str | None = None) -> Preprocessing:
    """The preprocessing of `model`, which is a name in open_clip or a folder with an open_clip_config.json.

    The pretrained weights `tag` may have their own preprocessing.
    """
    config = network_config(model, tag)
    return Preprocessing.of(
        config.get("preprocess_cfg", {}) | {"size": config["model_cfg"]["vision_cfg"]["image_size"]}
    )


def decode_shard(
    shard: Path, task: str, classes: int, preprocessing: Preprocessing, output: Path, start: int
) -> tuple[list[str], list]:
    """Write the images of a shard into the array file `output` from row `start` on; returns keys and targets.

    Raises `TestsetError` for an image that cannot be decoded, and for a label that is none of `classes`.
    """
    images = np.load(output, mmap_mode="r+")
    keys, targets = [], []
    for row, (key, content, target) in enumerate(read_samples(shard, task), start):
        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                # CLIP_benchmark has RGB images before the model's transform: of a palette, it resizes colours.
                images[row] = np.asarray(preprocessing(image.convert("RGB")))
        except (OSError, ValueError, SyntaxError) as error:
            raise TestsetError(f"{shard}: image {key} cannot be decoded ({error}). Copy the test set again.") from error
        keys.append(key)
        targets.append(parse_target(target, task, f"{shard}: {key}.{TARGET_EXTENSIONS[task]}", classes))
    images.flush()
    logging.info("%s: %d images", shard, len(keys))
    return keys, targets


def decode_testset(testset: Path, task: str, preprocessing: Preprocessing, folder: Path, workers: int) -> dict:
    """Decode the test set in the folder `testset` into `folder` with `workers` processes; returns the manifest.

    Raises `TestsetError` if its task is not `task`, or if a sample, a class name or a template is wrong.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if task_of(testset) != task:
        raise TestsetError(
            f"{testset}: its task is {task_of(testset)} by its dataset_type.txt, and {task} in the experiment. Correct "
            "testsets.*.task."
        )
    classes = 0 if task == "retrieval" else check_classes(testset)
    shards = shards_of(testset)
    counts = [count_samples(shard) for shard in shards]
    temporary = folder / f".tmp.{IMAGES_FILE}"
    np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(sum(counts), *preprocessing.size, 3)).flush()
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    tasks = [
        (shard, task, classes, preprocessing, temporary, start) for shard, start in zip(shards, starts, strict=True)
    ]
    if workers:
        with ProcessPoolExecutor(workers) as pool:
            decoded = list(pool.map(decode_shard, *zip(*tasks, strict=True)))
    else:
        decoded = [decode_shard(*task) for task in tasks]
    keys = [key for of_shard, _ in decoded for key in of_shard]
    targets = [target for _, of_shard in decoded for target in of_shard]
    if len(keys) != sum(counts) or not keys:
        raise TestsetError(f"{testset}: has {sum(counts)} images but {len(keys)} samples. Copy the test set again.")
    publish(temporary, folder / IMAGES_FILE)
    rows = folder / f".tmp.{SAMPLES_FILE}"
    parquet.write_table(pa.table({"key": keys, "answer": targets}), rows, compression="zstd")
    publish(rows, folder / SAMPLES_FILE)
    files = [record(folder / name) for name in (IMAGES_FILE, SAMPLES_FILE)]
    return {"images": len(keys), "task": task, "preprocessing": vars(preprocessing), "files": files}


if __name__ == "__main__":
    params = snakemake.params
    if not model_folder(params.network["model"]):
        run_warm(*EVALUATION)
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        preprocessing = preprocessing_of(**params.network)
        workers = snakemake.config["evaluation"]["workers"]
        manifest = decode_testset(Path(params.testset), params.task, preprocessing, folder, workers)
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input.testset)})
