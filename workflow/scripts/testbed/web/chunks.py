"""img2dataset's downloader and resizer with the requests of this package. A chunk of rows gives a tar and outcomes."""

import io
import os
import tarfile
import time
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

import pyarrow as pa

from testbed.records.files import add_member
from testbed.records.manifest import ManifestError, read_json
from testbed.web.decoding import decoding_opencv
from testbed.web.fetch import Fetcher, Limits
from testbed.web.hashes import CHANGED, expected_column, has_hash, hash_in

LIST_COLUMNS = ["uid", "url", "caption"]


class DownloadError(RuntimeError):
    """Too few URLs gave an image, or a product is incomplete."""


def limits_of(options: dict) -> Limits:
    """Return the limits on each request, from the experiment's `download` section."""
    return Limits(**{field.name: options[field.name] for field in fields(Limits)})


def keep_from_updates() -> None:
    """Stop albumentations, which img2dataset's resizer imports, from asking a server for updates."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"


def chunk_size_of(folder: Path, default: int) -> int:
    """Return the rows per chunk in `folder`: as in existing chunks, which would otherwise be fetched again."""
    for path in sorted(folder.glob("[0-9]*.json")):
        try:
            return read_json(path).get("chunk_size", default)
        except ManifestError:
            continue
    return default


class Chunks:
    """Fetches chunks into the folder `scratch` with img2dataset's downloader, whose requests `fetcher` makes.

    `options` is the experiment's `download` section. If rows have a hash of the image (`testbed.web.hashes`), bytes with
    another one fail as changed. img2dataset's own check would drop the rows without a hash, and hash in one thread.
    """

    def __init__(self, scratch: Path, options: dict, fetcher: Fetcher):
        keep_from_updates()
        from img2dataset import downloader, resizer

        self.scratch = scratch
        self.fetcher = fetcher
        self.seconds = options["chunk_deadline"]
        self.outcomes: list[dict] = []
        self.hash: str | None = None
        self.expected: list[str | None] = []
        self.write_errors: list[OSError] = []
        self.done = self.images = 0
        chunks = self

        class Writer:
            """Gets each resized image or failure from img2dataset's downloader; see its WebDatasetSampleWriter.

            Captions and metadata stay in the list. The downloader itself would go on after a full disk and lose samples.
            """

            def __init__(self, number: int, folder: str, *_):
                chunks.outcomes = []
                path = Path(folder) / f"{number:05d}.tar"
                self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

            def write(self, image: bytes | None, key: str, caption: str, outcome: dict) -> None:
                try:
                    if image is not None:
                        add_member(self.tar, f"{key}.jpg", image)
                        chunks.images += 1
                    chunks.outcomes.append(outcome)
                except OSError as error:
                    chunks.write_errors.append(error)
                    fetcher.end = 0.0

            def close(self) -> None:
                self.tar.close()

        def fetch(row: tuple[int, str], **_) -> tuple[int, io.BytesIO | None, str | None]:
            key, url = row
            body, cause = fetcher.fetch(url)
            if body is not None and self.hash and self.expected[key]:
                is_listed = has_hash(body, self.hash, self.expected[key])
                body, cause = (body, None) if is_listed else (None, CHANGED)
            self.done += 1
            return key, None if body is None else io.BytesIO(body), cause

        downloader.download_image_with_retry = fetch
        # The original opens /dev/null twice for each image, which takes 8 % of the time with many threads. Output of OpenCV
        # goes to the log (see log_to).
        resizer.SuppressStdoutStderr = nullcontext
        resizer.cv2 = decoding_opencv(options["rotate"])
        self.downloader = downloader.Downloader(
            sample_writer_class=Writer,
            resizer=resizer.Resizer(
                image_size=options["image_size"],
                resize_mode="keep_ratio",
                resize_only_if_bigger=True,
                encode_quality=options["quality"],
                min_image_size=options["minimum_size"],
            ),
            thread_count=options["threads"],
            save_caption=True,
            extract_exif=False,
            output_folder=str(scratch),
            column_list=LIST_COLUMNS,
            timeout=options["timeout"],
            number_sample_per_shard=options["chunk_size"],
            oom_shard_count=5,
            compute_hash="sha256",
            verify_hash_type=None,
            encode_format="jpg",
            retries=options["retries"],
            user_agent_token=options["user_agent"],
            disallowed_header_directives=None,
        )

    def fetch(self, number: int, rows: pa.Table) -> list[dict]:
        """Fetch `rows` as chunk `number`, and return their outcomes. Images go to a tar in `scratch`.

        Rows have uid, url, caption and, if images are checked, the expected hash.

        Raises `DownloadError` if the disk is full.
        """
        chunk = f"{number:05d}"
        self.hash = hash_in(rows.column_names)
        self.expected = rows[expected_column(self.hash)].to_pylist() if self.hash else []
        request_file = self.scratch / f"{chunk}.feather"
        try:
            with pa.ipc.new_file(request_file, rows.schema) as file:
                file.write_table(rows)
            # What the rate limits take is not the fault of a host, and must lose no image.
            waits = self.fetcher.rate_limiter.least_seconds(rows["url"].to_pylist())
            self.fetcher.end = time.monotonic() + self.seconds + waits
            self.downloader.download_shard((number, str(request_file)))
        except OSError as error:
            self.write_errors.append(error)
        if self.write_errors:
            raise DownloadError(
                f"chunk {chunk}: cannot be written ({self.write_errors[0]}). Free disk space and run the same command "
                "again: the chunks before this one are kept."
            )
        return self.outcomes
