"""The tar files of a source, and the groups in which jobs index them; folders and lists of images.

Snakemake imports this module when it parses the workflow, so it imports no slow module.
"""

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.lists.list_files import find_files
from testbed.lists.pairs import ListError
from testbed.lists.released import Format, read_header, read_parquet_schema, resolve_format

GROUP = 16
"""Tar files that one job indexes, or fetches."""

TARS = "results/tars"
"""The folder of the tar files that are fetched, by source and group."""


def way_out(tar: Path) -> str:
    """Return what to do about a tar file, or a local image, that is missing or not the one that was indexed."""
    if tar.is_relative_to(TARS):
        source = Path(*tar.parts[: len(Path(TARS).parts) + 1])
        return f"to fetch it again, delete {source}, and run the same command again with --forcerun retrieve_shards"
    return "bring it back, or correct the path"


def find_tars(path: Path | str) -> list[Path]:
    """Return the tar files of a source in sorted order. `path` is a file, a glob, or a folder with ``.tar`` files.

    Raises `ListError` if there is none.
    """
    text = os.path.expanduser(path)
    if os.path.isdir(text):
        found = glob.glob(os.path.join(glob.escape(text), "**", "*.tar"), recursive=True)
        problem = "has no file that ends in .tar"
    else:
        found = [text] if os.path.lexists(text) else glob.glob(text, recursive=True)
        problem = "there is no such file"
    tars = [Path(name) for name in sorted(set(found)) if not os.path.isdir(name)]
    if not tars:
        raise ListError(f"{path}: {problem}; put the tar files there, or correct the path")
    if irregular := [tar for tar in tars if not tar.is_file()]:
        raise ListError(
            f"{irregular[0]}: is a broken link or no regular file; remove it, or write a path that leaves it out"
        )
    return tars


def group_names(tars: Sequence) -> list[str]:
    """Return the names of the groups of a source's tar files, of which only the number counts."""
    return [f"{number:05d}" for number in range(-(-len(tars) // GROUP))]


def short_names(tars: Sequence[Path]) -> dict[Path, str]:
    """Return the paths of tar files below the folder that they share, which stay the same when the folder is moved."""
    folder = os.path.commonpath([tar.parent.absolute() for tar in tars])
    return {tar: os.path.relpath(tar.absolute(), folder) for tar in tars}


def describe_tars(names: Mapping[Path, str], group: str) -> list[dict]:
    """Return the tar files of a group: their numbers among all of the source, paths, short names, sizes and times.

    `names` are the short names of all tar files of the source.
    """
    tars, start = list(names), int(group) * GROUP
    described = []
    for number, tar in enumerate(tars[start : start + GROUP], start):
        status = tar.stat()
        facts = {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}
        described.append({"number": f"{number:06d}", "path": str(tar), "file": names[tar], **facts})
    return described


def format_of_list(path: Path | str, options: Mapping[str, str]) -> Format:
    """Return the format of a list of local paths, by its suffix. `options` names the columns `image` and `caption`.

    Raises `ListError` if the suffix is none of a list.
    """
    name = str(path).removesuffix(".gz").removesuffix(".bz2")
    formats = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
    form = formats.get(os.path.splitext(name)[1].lower())
    if form is None:
        raise ListError(f"{path}: is no folder, and ends in none of {', '.join(formats)}; correct the path")
    return resolve_format(form, {"url": options["image"], "caption": options.get("caption") or "caption"})


def check_files(path: Path | str, options: Mapping[str, str]) -> None:
    """Raise `ListError` unless `path` is a folder, or a list of local paths with the columns in `options`."""
    if os.path.isdir(os.path.expanduser(path)):
        return
    form = format_of_list(path, options)
    first = find_files(path, form.container)[0]
    if form.container == "parquet":
        read_parquet_schema(first, form)
    else:
        read_header(first, form)


def describe_files(path: Path | str, options: Mapping[str, str]) -> list[dict]:
    """Return path, size and time of the last change of a folder of images, or of the files of a list of local paths.

    Raises `ListError` if they are missing.
    """
    check_files(path, options)
    folder = Path(path).expanduser()
    files = [folder] if folder.is_dir() else find_files(path, format_of_list(path, options).container)
    described = []
    for file in files:
        status = file.stat()
        size = 0 if file.is_dir() else status.st_size
        described.append({"path": str(file), "bytes": size, "modified_ns": status.st_mtime_ns})
    return described
