"""Link the shards with the first samples of a pool into one folder, without copying images.

Complete shards are links. If the size ends inside a shard, the samples needed from it are copied into one last shard, which
all members of a mixture share. The folder can be passed to open_clip as ``--train-data '.../{000000..000149}.tar'``.

In:  the shard manifests of the pool's sources and filters
Out: a manifest; beside it NNNNNN.tar, links and at most one file, and index.npy, the places of all samples in them
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import problem, read_json, record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.shards.index import INDEX, index_trainset, read_index
from testbed.shards.samples import BLOCK, merge_ranges
from testbed.shards.shard_files import copy_ranges, end_archive, link

if TYPE_CHECKING:
    from snakemake.script import snakemake


class TrainsetError(RuntimeError):
    """The shards do not have the samples that the trainset needs."""


def choose_shards(shards: dict, count: int) -> tuple[list[dict], dict | None, int]:
    """Return the shards of a source that have its first `count` samples.

    Returns the complete shards, the shard that is cut (or None), and the number of samples to take from it. `shards` is the
    source's shard manifest. Raises `TrainsetError` if it has fewer than `count` samples.
    """
    whole = []
    for entry in shards["files"]:
        if count < entry["samples"]:
            return whole, entry if count else None, count
        whole.append(entry)
        count -= entry["samples"]
    if count:
        raise TrainsetError(
            f"{shards['source']}: has {shards['samples']} samples, {count} fewer than the trainset takes from it. Lower the "
            "sizes that use it. Or raise samples of a source, or relax a filter."
        )
    return whole, None, 0


def copy_first(shard: Path, entry: dict, samples: int, target: BinaryIO) -> None:
    """Append the first `samples` samples of the tar file `shard` with the record `entry` to `target`.

    Raises `SampleError` or `ShardError` if the shard is not as recorded.
    """
    index = read_index(shard, entry["samples"])[:samples]
    # A sample begins with the header of its image, and ends with its caption.
    starts = index["image"] - BLOCK
    sizes = index["caption"] + -(-index["caption_bytes"] // BLOCK) * BLOCK - starts
    with open(shard, "rb", buffering=0) as source:
        copy_ranges(source, merge_ranges(starts.tolist(), sizes.tolist()), target)


def link_trainset(composition: dict[str, int], shards: dict[str, Path], folder: Path) -> dict:
    """Link the trainset with `composition` (source to number of samples) into `folder`, and return its manifest.

    `shards` gives the shard folder of each source. Raises `TrainsetError` if a source has too few samples, or if a shard is
    not as its manifest says.
    """
    for old in (*folder.glob("*.tar"), folder / INDEX):
        old.unlink(missing_ok=True)
    files, cuts = [], []
    for source, count in composition.items():
        whole, cut, rest = choose_shards(read_json(shards[source] / "manifest.json"), count)
        for entry in [*whole, *([cut] if cut else [])]:
            wrong = problem(shards[source], entry, content=False)
            if wrong:
                raise TrainsetError(f"{wrong}. Delete {shards[source]}/manifest.json and run the same command again.")
        for entry in whole:
            path = folder / f"{len(files):06d}.tar"
            link(shards[source] / entry["name"], path)
            shard = {"source": source, "samples": entry["samples"], "shard": entry["name"]}
            files.append({"name": path.name, "bytes": entry["bytes"], "sha256": entry["sha256"], **shard})
        if cut:
            cuts.append((source, cut, rest))
    if cuts:
        path = folder / f"{len(files):06d}.tar"
        temporary = path.with_name(f".{path.name}.tmp")
        with open(temporary, "wb") as file:
            for source, cut, rest in cuts:
                copy_first(shards[source] / cut["name"], cut, rest, file)
            end_archive(file)
        publish(temporary, path)
        parts = [{"source": source, "samples": rest, "shard": cut["name"]} for source, cut, rest in cuts]
        files.append(record(path, samples=sum(part["samples"] for part in parts), parts=parts))
    counts = Counter()
    for part in (part for file in files for part in file.get("parts", [file])):
        counts[part["source"]] += part["samples"]
    if counts != Counter(composition):
        raise TrainsetError(f"{folder}: has {dict(counts)} samples instead of {composition}. Run `snakemake verify`.")
    index_trainset(folder, files, folder / INDEX)
    return {"samples": counts.total(), "composition": composition, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        shards = {source: Path(path) for source, path in snakemake.params.shards.items()}
        manifest = link_trainset(dict(snakemake.params.composition), shards, folder)
        write_json(snakemake.output.manifest, manifest)
