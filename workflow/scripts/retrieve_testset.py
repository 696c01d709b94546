"""Retrieve a test set in CLIP_benchmark's WebDataset format from its host, and check its counts.

A restarted job keeps the files that its record lists as complete, and fetches the others.

In:  the name of one of CLIP_benchmark's wds/ sets, and the URL of these sets
Out: a manifest; beside it test/nshards.txt and test/N.tar, classnames.txt and zeroshot_classification_templates.txt
     (not for image-text retrieval), dataset_type.txt (not for plain classification), and record.json with the records of
     the complete files so far
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from testbed.evaluation.tasks import CLASS_FILES, TestsetError, check_classes, task_of
from testbed.evaluation.testsets import count_samples, expected_counts
from testbed.miniweb.server import open_proxy
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import ManifestError, problem, read_json, record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.web.single_files import FetchError, fetch, open_pool

if TYPE_CHECKING:
    from snakemake.script import snakemake


class RetrieveError(RuntimeError):
    """A test set cannot be fetched, or is invalid."""


@dataclass
class Retrieval:
    """The retrieval of a test set from `origin`, the URL of its files, into `folder`, with a `record.json` of its state.

    `files` are the records of complete files, `absent` the names of files that the origin does not have.
    """

    folder: Path
    origin: str
    pool: urllib3.PoolManager
    options: dict
    files: dict[str, dict] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        try:
            known = read_json(self.folder / "record.json")
        except ManifestError:
            return
        # Files of another set or of another origin may have the same names and other content.
        if known["origin"] == self.origin:
            self.files = {file["name"]: file for file in known["files"]}
            self.absent = known["absent"]

    def get(self, name: str) -> int:
        """Fetch the file `name` into the folder unless it is there. Return 200, or the HTTP status of the refusal."""
        path = self.folder / name
        if name in self.absent:
            return 404
        if name in self.files and problem(self.folder, self.files[name]) is None:
            logging.info("%s: kept", name)
            return 200
        try:
            status = fetch(self.pool, f"{self.origin}/{name}", path, self.options)
        except FetchError as error:
            raise RetrieveError(
                f"{error}. Run the same command again when the network is better; complete files are kept. "
                "testset_origin in the experiment sets the URL."
            ) from error
        if status == 200:
            self.files[name] = record(path) | {"name": name}
            self.save()
            logging.log(PROGRESS, "%s: fetched %s, %.1f MB", self.folder.name, name, path.stat().st_size / 1e6)
        return status

    def require(self, name: str) -> Path:
        """Return the path of a required file. Raises `RetrieveError` if the origin refuses it."""
        status = self.get(name)
        if status != 200:
            raise RetrieveError(
                f"testsets.{self.folder.name}.retrieve: {self.origin}/{name} responds with HTTP {status}, but every such "
                f"set has {name}. Download the set by hand and set its folder as path instead of retrieve."
            )
        return self.folder / name

    def lacks(self, name: str) -> bool:
        """Return whether the origin lacks the file `name`. Otherwise fetch it into the folder."""
        if self.get(name) == 200:
            return False
        (self.folder / name).unlink(missing_ok=True)
        if name not in self.absent:
            self.absent.append(name)
            self.save()
        return True

    def save(self) -> None:
        content = {"origin": self.origin, "absent": self.absent, "files": list(self.files.values())}
        write_json(self.folder / "record.json", content)


def shards_of(retrieval: Retrieval, name: str) -> int:
    """Return the number of shards of the test set `name`. Raises `RetrieveError` if the origin does not have the set."""
    status = retrieval.get("test/nshards.txt")
    if status != 200:
        raise RetrieveError(
            f"testsets.{retrieval.folder.name}.retrieve: there is no {name} at {retrieval.origin} (HTTP {status}). Take "
            "a name of CLIP_benchmark's wds/ sets (resources/testsets.csv has some), correct testset_origin.url, or "
            "download the set by hand and set its folder as path instead of retrieve."
        )
    path = retrieval.folder / "test/nshards.txt"
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if not text.isdecimal() or int(text) == 0:
        # Without the file its record is invalid, so the next run fetches it again.
        path.unlink()
        raise RetrieveError(
            f"{retrieval.origin}/test/nshards.txt: has {text[:60]!r} instead of the number of test/N.tar files. Correct "
            "testset_origin.url, or check whether another server responds, such as a proxy's login page."
        )
    return int(text)


def count_images(shard: Path) -> int:
    """Return the number of images in a tar. Raises `RetrieveError` if it is not a tar file."""
    try:
        return count_samples(shard)
    except TestsetError as error:
        raise RetrieveError(
            f"{shard}: was fetched, but is not a complete tar file ({error.__cause__}). Delete it to fetch it again."
        ) from error


def count_classes(name: str, folder: Path) -> int:
    """Return the number of classes of the test set `name`. Raises `RetrieveError` for a wrong class name or template."""
    try:
        return check_classes(folder)
    except TestsetError as error:
        raise RetrieveError(
            f"testsets.{folder.name}.retrieve: {name} was fetched, but cannot be evaluated. {error} Do so in a copy of "
            f"{folder}, and set that copy as path instead of retrieve."
        ) from error


def check_counts(name: str, counts: dict[str, int], table: Path | str, folder: Path) -> None:
    """Raise `RetrieveError` if `counts` differ from those in `table` for the test set `name`."""
    wrong = []
    for unit, expected in expected_counts(table, name).items():
        if expected is None:
            logging.log(
                PROGRESS, "%s: has %d %s, which is not checked: %s has no number", name, counts[unit], unit, table
            )
        elif counts[unit] != expected:
            wrong.append(f"{counts[unit]:,} {unit} instead of {expected:,}")
    if wrong:
        raise RetrieveError(
            f"testsets.{folder.name}.retrieve: {name} has {'; '.join(wrong)}. Its files stay in {folder}. Delete that "
            f"folder to fetch the set again; if the set itself has changed, correct its row in {table}."
        )


def retrieve_testset(name: str, folder: Path, origin: dict, proxy: str = "none") -> dict:
    """Fetch the test set `name` into `folder`, check its counts, and return its manifest.

    `origin` is the experiment's `testset_origin`. Raises `RetrieveError`; fetched files are kept.
    """
    url = f"{origin['url'].rstrip('/')}/wds_{name.replace('/', '-')}/resolve/main"
    retrieval = Retrieval(folder, url, open_pool(url, proxy), origin)
    shards = shards_of(retrieval, name)
    plain, task = retrieval.lacks("dataset_type.txt"), task_of(folder)
    texts = [] if task == "retrieval" else [retrieval.require(text) for text in CLASS_FILES]
    tars = [retrieval.require(f"test/{shard}.tar") for shard in range(shards)]
    counts = {"images": sum(map(count_images, tars)), "classes": count_classes(name, folder) if texts else 0}
    check_counts(name, counts, origin["table"], folder)
    names = ["test/nshards.txt", *([] if plain else ["dataset_type.txt"])]
    names += [str(path.relative_to(folder)) for path in (*texts, *tars)]
    return {"retrieve": name, "origin": url, "task": task, **counts, "files": [retrieval.files[name] for name in names]}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    manifest = Path(snakemake.output.manifest)
    params, config = snakemake.params, snakemake.config
    # Settings of how to fetch are not parameters; `params.origin` says what is fetched.
    origin = config["testset_origin"] | params.origin
    with locked(manifest.parent) as folder, open_proxy(config["download"]["proxy"], []) as proxy:
        write_json(manifest, retrieve_testset(params.name, folder, origin, proxy))
