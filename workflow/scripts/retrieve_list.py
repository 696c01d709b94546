"""Retrieve a released list from its public address, and check sizes, SHA-256 and what kind of file came.

A list is named by resources/lists.csv, by the address of a file (https://...), or by files of a dataset on the Hugging Face
Hub (hf://datasets/<owner>/<name>[@<revision>]/<path or glob>). A dataset that needs permission is fetched with the token
that huggingface_hub finds (HF_TOKEN, or its file). A restarted job keeps complete files, and goes on in the middle of the
file that was cut.

In:  the name or address of the list, and a list of lists
Out: a manifest; beside it the folder `files`, and record.json with the records of the complete files so far
"""

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lists.remote_files import ListRetrievalError, check_names, files_of
from testbed.lists.retrieval import Retrieval
from testbed.miniweb.server import open_proxy
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import write_json
from testbed.records.processes import terminate_with_parent
from testbed.web.hub import ask_hub

if TYPE_CHECKING:
    from snakemake.script import snakemake


def retrieve_list(address: str, folder: Path, table: Path | str, proxy: str = "none") -> dict:
    """Fetch the list at `address` into `folder`/files, and return its manifest. Raises `ListRetrievalError`.

    `table` is the list of lists. Complete files are kept.
    """
    by_hand = f"Or fetch the list by hand, and give its path in sources.{folder.name}.metadata."
    retrieval, remotes = Retrieval(folder, address, proxy, by_hand), files_of(address, table)
    check_names(remotes)
    names = [name for remote in remotes for name in retrieval.get(remote)]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ListRetrievalError(
            f"{address}: has {repeated[0]} in two archives. Unpack them by hand, and give the folder."
        )
    kept = {str(folder / name) for name in names}
    for path in sorted((folder / "files").rglob("*")):
        if path.is_file() and str(path) not in kept:
            # Of a list that was fetched here before: it would be read as a part of this one.
            path.unlink()
    return {
        "retrieve": address,
        "origins": {remote.name: retrieval.origins[remote.name] for remote in remotes},
        "files": [retrieval.files[name] for name in names],
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    manifest = Path(snakemake.output.manifest)
    params, config = snakemake.params, snakemake.config
    with locked(manifest.parent) as folder, open_proxy(config["download"]["proxy"], []) as proxy:
        ask_hub(params.hub.get("url"), proxy)
        write_json(manifest, retrieve_list(params.address, folder, config["released_lists"], proxy))
