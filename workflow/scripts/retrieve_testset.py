"""Retrieve a test set in CLIP_benchmark's WebDataset format from where it is hosted, and count what came.

A restarted job keeps the files that its record knows as whole and fetches the rest.

In:  nothing but the name of one of CLIP_benchmark's wds/ sets and the URL that they lie under
Out: a manifest; beside it test/nshards.txt and test/N.tar, classnames.txt and zeroshot_classification_templates.txt
     (not for image-text retrieval), dataset_type.txt (not for plain classification), and record.json with the records of
     the files that are whole so far
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from testbed.evaluation.tasks import TestsetError, task_of
from testbed.evaluation.testsets import count_samples, expected_counts
from testbed.miniweb.server import open_proxy
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import ManifestError, problem, read_json, record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.web.single_files import FetchError, fetch, open_pool

if TYPE_CHECKING:
    from snakemake.script import snakemake

TEXTS = ("classnames.txt", "zeroshot_classification_templates.txt")


class RetrieveError(RuntimeError):
    """A test set cannot be fetched, or is not what it should be."""


@dataclass
class Retrieval:
    """A test set on its way from `origin`, the URL of its files, into `folder`; `record.json` there knows what is whole.

    `files` are the records of whole files, `absent` the names of those that the origin does not have.
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
        """Have the file `name` in the folder, fetched or kept; returns 200, or the status that refuses it."""
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
                f"{error}. Run the same command again when the network is better; files that are whole are kept. "
                "testset_origin in the experiment says what is asked."
            ) from error
        if status == 200:
            self.files[name] = record(path) | {"name": name}
            self.note()
            logging.log(PROGRESS, "%s: %s has come, %.1f MB", self.folder.name, name, path.stat().st_size / 1e6)
        return status

    def need(self, name: str) -> Path:
        """The path of a file that every such set has; raises `RetrieveError` where the origin refuses it."""
        status = self.get(name)
        if status != 200:
            raise RetrieveError(
                f"testsets.{self.folder.name}.retrieve: {self.origin}/{name} answers HTTP {status}, and every such set "
                f"has {name}. Get the set by hand and give its folder as path instead of retrieve."
            )
        return self.folder / name

    def lacks(self, name: str) -> bool:
        """Whether the origin does not have the file `name`, which then is not in the folder either."""
        if self.get(name) == 200:
            return False
        (self.folder / name).unlink(missing_ok=True)
        if name not in self.absent:
            self.absent.append(name)
            self.note()
        return True

    def note(self) -> None:
        content = {"origin": self.origin, "absent": self.absent, "files": list(self.files.values())}
        write_json(self.folder / "record.json", content)


def shards_of(retrieval: Retrieval, name: str) -> int:
    """Number of shards of the test set `name`; raises `RetrieveError` where it is not there."""
    status = retrieval.get("test/nshards.txt")
    if status != 200:
        raise RetrieveError(
            f"testsets.{retrieval.folder.name}.retrieve: there is no {name} at {retrieval.origin} (HTTP {status}). Take "
            "a name of CLIP_benchmark's wds/ sets (resources/testsets.csv has some), correct testset_origin.url, or get "
            "the set by hand and give its folder as path instead of retrieve."
        )
    path = retrieval.folder / "test/nshards.txt"
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if not text.isdecimal() or int(text) == 0:
        # Without the file its record is void, and the next run asks again.
        path.unlink()
        raise RetrieveError(
            f"{retrieval.origin}/test/nshards.txt: says {text[:60]!r}, and not how many test/N.tar there are. Correct "
            "testset_origin.url, or look at what answers in its place, such as a proxy's login page."
        )
    return int(text)


def count_images(shard: Path) -> int:
    """Number of images in a tar; raises `RetrieveError` where it is none."""
    try:
        return count_samples(shard)
    except TestsetError as error:
        raise RetrieveError(
            f"{shard}: came as it is, and is no whole tar ({error.__cause__}). Delete it to fetch it again."
        ) from error


def check_counts(name: str, counts: dict[str, int], table: Path | str, folder: Path) -> None:
    """Raise `RetrieveError` where `counts` are not those that `table` expects of the test set `name`."""
    wrong = []
    for what, expected in expected_counts(table, name).items():
        if expected is None:
            logging.log(
                PROGRESS, "%s: has %d %s, which is not checked: %s has no number", name, counts[what], what, table
            )
        elif counts[what] != expected:
            wrong.append(f"{counts[what]:,} {what}, and {expected:,} are expected")
    if wrong:
        raise RetrieveError(
            f"testsets.{folder.name}.retrieve: {name} has {'; '.join(wrong)}. Its files stay in {folder}. Delete that "
            f"folder to fetch the set again; where the set itself is another by now, correct its row in {table}."
        )


def retrieve_testset(name: str, folder: Path, origin: dict, proxy: str = "none") -> dict:
    """Fetch the test set `name` into `folder` and check its counts; returns its manifest.

    `origin` is the experiment's `testset_origin`. Raises `RetrieveError`; files that came stay.
    """
    url = f"{origin['url'].rstrip('/')}/wds_{name.replace('/', '-')}/resolve/main"
    retrieval = Retrieval(folder, url, open_pool(url, proxy), origin)
    shards = shards_of(retrieval, name)
    plain, task = retrieval.lacks("dataset_type.txt"), task_of(folder)
    texts = [] if task == "retrieval" else [retrieval.need(text) for text in TEXTS]
    tars = [retrieval.need(f"test/{shard}.tar") for shard in range(shards)]
    classes = len(texts[0].read_text(encoding="utf-8").strip("\n").split("\n")) if texts else 0
    counts = {"images": sum(map(count_images, tars)), "classes": classes}
    check_counts(name, counts, origin["table"], folder)
    names = ["test/nshards.txt", *([] if plain else ["dataset_type.txt"])]
    names += [str(path.relative_to(folder)) for path in (*texts, *tars)]
    return {"retrieve": name, "origin": url, "task": task, **counts, "files": [retrieval.files[name] for name in names]}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    manifest = Path(snakemake.output.manifest)
    params, config = snakemake.params, snakemake.config
    # How to fetch is no parameter, and what is fetched is one.
    origin = config["testset_origin"] | params.origin
    with locked(manifest.parent) as folder, open_proxy(config["download"]["proxy"], []) as proxy:
        write_json(manifest, retrieve_testset(params.name, folder, origin, proxy))
