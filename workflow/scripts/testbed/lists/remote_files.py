"""The files of lists at their addresses: in a list of lists, on the web, and on the Hugging Face Hub."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from testbed.lists.addresses import HUB, hub_parts
from testbed.records.shipped import shipped


class ListRetrievalError(RuntimeError):
    """A list cannot be fetched, or something else came."""


@dataclass(frozen=True)
class Remote:
    """A file of a list at its `url`; `bytes` and `sha256` are known or None, `packed` archives are unpacked.

    `address` is what names the file where it has an address of its own, which on the Hub has no commit.
    """

    url: str
    name: str
    bytes: int | None = None
    sha256: str | None = None
    packed: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    address: str = ""


def listed_files(name: str, table: Path | str) -> list[Remote]:
    """The files of the list `name` in `table` (resources/lists.csv); raises `ListRetrievalError` if it has none."""
    with open(shipped(table), newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["list"] == name]
    if not rows:
        raise ListRetrievalError(
            f"{table}: has no list {name!r}. Write one that it has, an address (https://...), or files of a dataset on the "
            "Hugging Face Hub (hf://datasets/...); or fetch the list by hand, and give its path."
        )
    return [
        Remote(
            row["url"],
            row["file"],
            int(row["bytes"]) if row["bytes"] else None,
            row["sha256"] or None,
            row["file"].endswith(".zip"),
        )
        for row in rows
    ]


def dataset_files(dataset: str, revision: str | None, address: str) -> list[Remote]:
    """All files of a dataset on the Hub in the order of their paths, at the commit that its `revision` is now.

    Raises `ListRetrievalError`, which names the `address` that asks for them, if the Hub refuses them.
    """
    from huggingface_hub import HfApi, get_token, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.hf_api import RepoFile

    api = HfApi()
    try:
        commit = api.dataset_info(dataset, revision=revision).sha
        entries = list(api.list_repo_tree(dataset, recursive=True, revision=commit, repo_type="dataset"))
    except HFValidationError as error:
        raise ListRetrievalError(f"{address}: is no name of a dataset ({error}). Correct the address.") from error
    except HfHubHTTPError as error:
        raise ListRetrievalError(
            f"{address}: the Hub refuses it ({first_line(error)}). Correct the address. A dataset that needs permission "
            "needs your token: huggingface-cli login, or HF_TOKEN."
        ) from error
    except Exception as error:
        # Errors of the Hub's HTTP client, whose package depends on the version of huggingface_hub.
        raise ListRetrievalError(
            f"{address}: the Hub cannot be reached ({first_line(error)}). Check the network, download.proxy and "
            "checkpoint_origin.url, and run the same command again; or fetch the files by hand, and give their path."
        ) from error
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return [
        Remote(
            hf_hub_url(dataset, entry.path, repo_type="dataset", revision=commit),
            entry.path,
            entry.size,
            entry.lfs.sha256 if entry.lfs else None,
            headers=headers,
        )
        for entry in sorted(entries, key=lambda entry: entry.path)
        if isinstance(entry, RepoFile)
    ]


def hub_files(address: str) -> list[Remote]:
    """The files of a dataset on the Hub that `address` names; raises `ListRetrievalError` if the Hub refuses or has none."""
    dataset, revision, pattern = hub_parts(address)
    found = [remote for remote in dataset_files(dataset, revision, address) if matches(remote.name, pattern)]
    if not found:
        raise ListRetrievalError(f"{address}: the dataset {dataset} has no such file. Correct the path.")
    return found


def files_of(address: str, table: Path | str) -> list[Remote]:
    """The files of the list at `address`, as the module says; raises `ListRetrievalError` as they do."""
    if address.startswith(HUB):
        return hub_files(address)
    if "://" in address:
        name = unquote(urlsplit(address).path.rpartition("/")[2]) or "list"
        return [Remote(address, name, packed=name.endswith(".zip"))]
    return listed_files(address, table)


def files_at(names: Mapping[str, str]) -> list[Remote]:
    """The file at each address of the web or the Hub in `names`, under the name that it has there.

    Raises `ListRetrievalError` if the Hub refuses one, or does not have it.
    """
    datasets: dict[tuple, dict[str, Remote]] = {}
    remotes = []
    for address, name in names.items():
        if not address.startswith(HUB):
            remotes.append(Remote(address, name, address=address))
            continue
        dataset, revision, path = hub_parts(address)
        if (dataset, revision) not in datasets:
            files = dataset_files(dataset, revision, address)
            datasets[dataset, revision] = {remote.name: remote for remote in files}
        remote = datasets[dataset, revision].get(path)
        if remote is None:
            raise ListRetrievalError(f"{address}: the dataset {dataset} has no such file. Correct the path.")
        remotes.append(replace(remote, name=name, address=address))
    return remotes


def matches(path: str, pattern: str) -> bool:
    """Return whether `path` is or fits `pattern`: as in the glob of a path, `*` is in one folder, `**` in any."""
    # fsspec, which huggingface_hub needs, takes a moment to load.
    from fsspec.utils import glob_translate

    return path == pattern or re.fullmatch(glob_translate(pattern), path) is not None


def check_names(remotes: list[Remote]) -> None:
    """Raise `ListRetrievalError` if a file's name leads out of the folder, is hidden, or is that of another file."""
    for number, remote in enumerate(remotes):
        parts = remote.name.split("/")
        if any(not part or part.startswith(".") for part in parts) or "\\" in remote.name:
            raise ListRetrievalError(
                f"{remote.url}: {remote.name!r} cannot be the name of a file of a list. Fetch the list by hand, and give "
                "its path."
            )
        if remote.name in [other.name for other in remotes[:number]]:
            raise ListRetrievalError(
                f"{remote.url}: is called {remote.name}, like another file of the list. Correct the table."
            )


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
