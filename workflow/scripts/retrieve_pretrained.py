"""Convert a published checkpoint into the format of a trained model, so that it can be evaluated like one.

In:  a model and one of its tags in open_clip's list of pretrained weights, or the user's checkpoint file
Out: a manifest; beside it open_clip_config.json, open_clip_model.safetensors and, if the tokenizer is not part of
     open_clip, the tokenizer's files
"""

import logging
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.miniweb.server import open_proxy
from testbed.models.networks import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    network_config,
    open_clip_config,
    open_clip_name,
    save_tokenizer,
)
from testbed.records.files import publish, sha256
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import code_revision, now, versions_of
from testbed.web.hub import ask_hub

if TYPE_CHECKING:
    from snakemake.script import snakemake


class PretrainedError(RuntimeError):
    """The checkpoint does not exist, or belongs to another model."""


def load_pretrained(model: str, tag: str | None, checkpoint: str | None, cache: Path | None = None):
    """The open_clip model `model` with the weights of `tag` or of the file `checkpoint`; raises `PretrainedError`.

    `cache` is the folder for the downloaded weights of a tag; None is huggingface_hub's own cache.
    """
    import open_clip

    if tag:
        known = open_clip.list_pretrained_tags_by_model(model)
        if tag not in known:
            raise PretrainedError(
                f"pretrained: open_clip has no {tag} of {model}; it has {', '.join(known) or 'none of this model'}."
            )
        wanted = bool(open_clip.get_pretrained_cfg(model, tag).get("quick_gelu"))
        if wanted != bool(open_clip_config(model)["model_cfg"].get("quick_gelu")):
            # open_clip only warns, and the accuracies would be wrong.
            other = model.removesuffix("-quickgelu") if not wanted else f"{model}-quickgelu"
            raise PretrainedError(f"pretrained: {tag} was trained with another activation than {model}. Write {other}.")
        try:
            return open_clip.create_model(model, pretrained=tag, cache_dir=cache)
        except (RuntimeError, OSError) as error:
            raise PretrainedError(
                f"pretrained: {tag} of {model} cannot be loaded ({str(error)[:300]}). Download it once, on a machine with "
                "internet access, into a cache that this machine shares (HF_HOME): "
                f"uv run python -c \"import open_clip; open_clip.create_model('{model}', pretrained='{tag}')\"; or give the "
                "file of its weights as checkpoint."
            ) from error
    network = open_clip.create_model(open_clip_name(model), load_weights=False, pretrained_text=False)
    try:
        open_clip.load_checkpoint(network, checkpoint)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise PretrainedError(
            f"pretrained: {checkpoint} is not a checkpoint of {model} ({str(error)[:300]}). Correct model or checkpoint."
        ) from error
    return network


def retrieve_pretrained(
    model: str, tag: str | None, checkpoint: str | None, folder: Path, cache: Path | None = None
) -> dict:
    """Write the configuration and weights of a checkpoint into `folder`; returns the manifest."""
    from safetensors.torch import save_file

    network = load_pretrained(model, tag, checkpoint, cache)
    config, used = network_config(model, tag), network.visual.preprocess_cfg
    preprocess = {**used, **config.get("preprocess_cfg", {}), "size": used["size"]}
    write_json(folder / CONFIG_FILE, config | {"preprocess_cfg": preprocess})
    tokenizer = save_tokenizer(model, folder, offline=tag is None)
    temporary = folder / f".{WEIGHTS_FILE}.tmp"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary)
    publish(temporary, folder / WEIGHTS_FILE)
    logging.info("%s: %s", folder, tag or checkpoint)
    origin = {"tag": tag} if tag else {"checkpoint": str(checkpoint), "sha256": sha256(checkpoint)}
    return {
        "model": model,
        **origin,
        "retrieved": now(),
        "code": code_revision(),
        "versions": versions_of(["torch", "open_clip_torch"]),
        "files": [record(path) for path in (folder / CONFIG_FILE, folder / WEIGHTS_FILE, *tokenizer)],
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    entry = dict(snakemake.params.entry)
    url = snakemake.params.origin.get("url")
    with (
        locked(Path(snakemake.output.manifest).parent) as folder,
        open_proxy(snakemake.config["download"]["proxy"], []) as proxy,
        # Downloads from another origin do not belong in huggingface_hub's cache, which projects share.
        tempfile.TemporaryDirectory(dir=folder) if url else nullcontext() as cache,
    ):
        ask_hub(url, proxy)
        manifest = retrieve_pretrained(entry["model"], entry.get("tag"), entry.get("checkpoint"), folder, cache)
        write_json(snakemake.output.manifest, manifest)
