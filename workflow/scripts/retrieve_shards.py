"""Retrieve a group of a source's tars from the web or the Hugging Face Hub, and check their sizes and SHA-256.

Sizes and SHA-256 are known of tars on the Hub. A dataset that needs permission is fetched with the token that
huggingface_hub finds (HF_TOKEN, or its file). A restarted job keeps complete tars, and goes on in the middle of the one that
was cut.

In:  the addresses of the tars, and the name of each
Out: a manifest with the address, size and SHA-256 of each tar; beside it the folder `files`, and record.json with the
     records of the complete tars so far
"""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lists.remote_files import check_names, files_at
from testbed.lists.retrieval import Retrieval
from testbed.local.files import GROUP
from testbed.miniweb.server import open_proxy
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import ManifestError, read_json, write_json
from testbed.records.processes import terminate_with_parent
from testbed.web.hub import ask_hub

if TYPE_CHECKING:
    from snakemake.script import snakemake


FACTS = ("bytes", "modified_ns", "sha256", "url", "retrieved")
"""What the manifest has of each tar, besides its number, its path and its name in the index (see `describe_tars`)."""


def retrieve_shards(
    names: Mapping[str, str], source: str, folder: Path, proxy: str = "none", used: Container[str] = ()
) -> dict:
    """Fetch the tars at the addresses in `names` into `folder`/files under their names, and return the manifest.

    `folder` is called as the number of the group. Complete tars are kept, without asking the Hub; they may be missing if
    their SHA-256 is in `used`. Raises `ListRetrievalError`.
    """
    by_hand = f"Or fetch the tars by hand, and give their path in sources.{source}.shards."
    # The record is that of the source, whatever its address is: a tar is kept by its own address.
    retrieval = Retrieval(folder, source, proxy, by_hand, used)
    remotes = files_at({address: name for address, name in names.items() if not retrieval.has_from(address, name)})
    check_names(remotes)
    for remote in remotes:
        retrieval.get(remote)
    paths = {name: folder / "files" / name for name in names.values()}
    for path in sorted((folder / "files").rglob("*")):
        if path.is_file() and path not in paths.values():
            path.unlink()
    tars = []
    for number, (name, path) in enumerate(paths.items(), int(folder.name) * GROUP):
        origin = retrieval.origins[name]
        tars.append({"number": f"{number:06d}", "path": str(path), "file": name} | {key: origin[key] for key in FACTS})
    return {"tars": tars}


def tars_in_shards(source: str) -> set[str]:
    """Return the SHA-256 of the tars whose samples are in the shards of a source, from which they were rewritten."""
    try:
        read_json(f"results/shards/{source}/manifest.json")
        return {tar["sha256"] for tar in read_json(f"results/metadata/{source}/counts.json")["list"]}
    except ManifestError:
        return set()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    manifest = Path(snakemake.output.manifest)
    params, source = snakemake.params, snakemake.wildcards.source
    used = set() if params.as_is else tars_in_shards(source)
    with locked(manifest.parent) as folder, open_proxy(snakemake.config["download"]["proxy"], []) as proxy:
        ask_hub(params.hub.get("url"), proxy)
        write_json(manifest, retrieve_shards(dict(params.tars), source, folder, proxy, used))
