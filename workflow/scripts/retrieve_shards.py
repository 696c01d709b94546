"""Retrieve a group of a source's tars from the web or the Hugging Face Hub, and check their sizes and SHA-256.

Sizes and SHA-256 are known of tars on the Hub. A dataset that needs permission is fetched with the token that
huggingface_hub finds (HF_TOKEN, or its file). A restarted job keeps complete tars, and goes on in the middle of the one that
was cut.

In:  the addresses of the tars, and the name of each
Out: a manifest with the address, size and SHA-256 of each tar; beside it the folder `files`, and record.json with the
     records of the complete tars so far
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lists.remote_files import check_names, files_at
from testbed.lists.retrieval import Retrieval
from testbed.local.files import GROUP, describe_tars
from testbed.miniweb.server import open_proxy
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import write_json
from testbed.records.processes import terminate_with_parent
from testbed.web.hub import ask_hub

if TYPE_CHECKING:
    from snakemake.script import snakemake


def retrieve_shards(names: Mapping[str, str], source: str, folder: Path, proxy: str = "none") -> dict:
    """Fetch the tars at the addresses in `names` into `folder`/files under their names, and return the manifest.

    `folder` is called as the number of the group. Complete tars are kept. Raises `ListRetrievalError`.
    """
    by_hand = f"Or fetch the tars by hand, and give their path in sources.{source}.shards."
    # Complete tars are kept as long as their addresses and sizes are the same, whatever is fetched beside them.
    retrieval, remotes = Retrieval(folder, source, proxy, by_hand), files_at(names)
    check_names(remotes)
    for remote in remotes:
        retrieval.get(remote)
    paths = {folder / "files" / remote.name: remote.name for remote in remotes}
    for path in sorted((folder / "files").rglob("*")):
        if path.is_file() and path not in paths:
            path.unlink()
    tars = describe_tars(paths, "0")
    first = int(folder.name) * GROUP
    for number, (tar, remote) in enumerate(zip(tars, remotes, strict=True), first):
        origin = retrieval.origins[remote.name]
        tar |= {"number": f"{number:06d}"} | {key: origin[key] for key in ("url", "sha256", "retrieved")}
    return {"tars": tars}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    manifest = Path(snakemake.output.manifest)
    params = snakemake.params
    with locked(manifest.parent) as folder, open_proxy(snakemake.config["download"]["proxy"], []) as proxy:
        ask_hub(params.hub.get("url"), proxy)
        write_json(manifest, retrieve_shards(dict(params.tars), snakemake.wildcards.source, folder, proxy))
