"""The tar files of a source that are fetched: their addresses, and where each one lies once it is there.

Snakemake imports this module when it parses the workflow, so it imports no slow module.
"""

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from braceexpand import UnbalancedBracesError, braceexpand

from testbed.lists.addresses import HUB, check_address, hub_parts
from testbed.lists.pairs import ListError
from testbed.local.files import GROUP, TARS, find_tars, short_names

MOST = 200_000
"""Tar files of one source. LAION-400M has 41,408."""


RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)")


class RemoteTar(NamedTuple):
    """The address of a tar file, and its name: the path below the folder that all of its source share."""

    address: str
    name: str


@cache
def tars_at(address: str) -> tuple[RemoteTar, ...]:
    """Return the tar files that `address` stands for.

    Numbers and words in braces are one address each ({0000..0575}, {train,test}), as in the addresses that readers of
    WebDataset take. Raises `ListError` unless each is the address of a .tar file on the web or of a dataset on the Hub.
    """
    if any(abs(int(last) - int(first)) >= MOST for first, last in RANGE.findall(address)):
        raise ListError(f"{address}: stands for more than {MOST:,} tar files; correct the numbers in braces")
    try:
        addresses = list(islice(braceexpand(address), MOST + 1))
    except UnbalancedBracesError as error:
        raise ListError(f"{address}: has a brace without its partner; write numbers as {{0000..0575}}") from error
    if len(addresses) > MOST:
        raise ListError(f"{address}: stands for more than {MOST:,} tar files; correct the numbers in braces")
    paths = [path_of(each) for each in addresses]
    if len(set(paths)) < len(paths):
        raise ListError(
            f"{address}: two addresses have the same path, by which tar files are told apart; correct the braces"
        )
    # As long as all of them begin with the same folder.
    folders = [path.parent.parts for path in paths]
    shared = 0
    while len(folders[0]) > shared and len({parts[: shared + 1] for parts in folders}) == 1:
        shared += 1
    names = ("/".join(path.parts[shared:]) for path in paths)
    return tuple(map(RemoteTar, addresses, names))


def path_of(address: str) -> PurePosixPath:
    """Return the path of the tar file at `address`. Raises `ListError` if it is no such address."""
    if address.count("://") != 1:
        raise ListError(
            f"{address}: is no address of tar files; write https://host/{{0000..0575}}.tar, or hf://datasets/..., and "
            "braces for several"
        )
    check_address(address, [])
    path = hub_parts(address)[2] if address.startswith(HUB) else unquote(urlsplit(address).path)
    if address.startswith(HUB) and any(letter in path for letter in "*?["):
        raise ListError(
            f"{address}: which tar files there are must be known before they are fetched; write their numbers in braces, "
            "as {0000..0575}, in place of a wildcard"
        )
    found = PurePosixPath(path)
    if found.suffix != ".tar" or any(part.startswith(".") for part in found.parts) or "\\" in path:
        raise ListError(f"{address}: is no address of a .tar file; correct it")
    return found


def retrieved_tars(source: str, address: str) -> dict[Path, str]:
    """Return the paths and the names of the tar files of a source that are fetched from `address`."""
    return {
        Path(TARS, source, f"{number // GROUP:05d}", "files", tar.name): tar.name
        for number, tar in enumerate(tars_at(address))
    }


def names_of_tars(source: str, entry: Mapping) -> dict[Path, str]:
    """Return the paths of the tar files of a source and their short names; `entry` is its section `shards`.

    They may have to be fetched first. Raises `ListError` if there are none.
    """
    if is_fetched(entry):
        return retrieved_tars(source, entry["retrieve"])
    return short_names(find_tars(entry["path"]))


def is_fetched(entry: Mapping) -> bool:
    """Whether the tar files of a source with the section `entry` are fetched: a path comes before an address."""
    return "retrieve" in entry and "path" not in entry


def group_of_tars(address: str, group: str) -> tuple[RemoteTar, ...]:
    """Return the tar files at `address` that one job fetches."""
    start = int(group) * GROUP
    return tars_at(address)[start : start + GROUP]
