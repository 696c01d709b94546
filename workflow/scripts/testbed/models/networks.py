"""Configuration and tokenizer of a network, which open_clip loads by name or from a folder."""

import ast
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.experiment.errors import did_you_mean
from testbed.records.files import publish
from testbed.records.manifest import ManifestError, read_json
from testbed.records.processes import in_own_process
from testbed.records.shipped import shipped

CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
"""Files of a model's folder, from which open_clip loads it."""

PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
"""Keys of open_clip's list of pretrained weights that describe the preprocessing of images."""


class NetworkError(RuntimeError):
    """open_clip does not know the model, or a file that the model needs is not available."""


def model_folder(model: str) -> Path | None:
    """The folder that the experiment's `model` names, the user's or one that the workflow ships; None for a name."""
    folder = Path(shipped(model))
    return folder if folder.is_dir() else None


def open_clip_name(model: str) -> str:
    """What open_clip calls `model`."""
    folder = model_folder(model)
    return f"local-dir:{folder}" if folder else model


def open_clip_config(model: str) -> dict:
    """The open_clip_config.json of the folder `model`, or open_clip's configuration of the model with this name.

    Imports no slow module. Raises `NetworkError` if there is no configuration.
    """
    if folder := model_folder(model):
        try:
            return read_json(folder / CONFIG_FILE)
        except ManifestError as error:
            raise NetworkError(
                f"{error} The folder of a model must contain its configuration for open_clip."
            ) from error
    configs = Path(find_spec("open_clip").origin).parent / "model_configs"
    path = configs / f"{model}.json"
    if not path.is_file():
        similar = did_you_mean(model.replace("/", "-"), [other.stem for other in configs.glob("*.json")])
        raise NetworkError(
            f"{model} is neither a folder nor a model of open_clip {version('open_clip_torch')}.{similar} "
            "Name one of open_clip.list_models()."
        )
    return {"model_cfg": read_json(path)}


@cache
def published_tags() -> dict[str, list[str]]:
    """The tags of pretrained weights by model, of most models in open_clip's list.

    The list is read as text: an import of open_clip takes seconds. Tables that open_clip puts together in another way than
    by ``dict(tag=..., ...)`` are left out.
    """
    source = Path(find_spec("open_clip").origin).with_name("pretrained.py").read_text(encoding="utf-8")
    tables, tags = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            tables[node.targets[0].id] = node.value
    for model, table in zip(tables["_PRETRAINED"].keys, tables["_PRETRAINED"].values, strict=True):
        table = tables.get(getattr(table, "id", None), table)
        if isinstance(table, ast.Call) and getattr(table.func, "id", "") == "dict" and not table.args:
            tags[model.value] = [keyword.arg for keyword in table.keywords]
    return tags


def network_config(model: str, tag: str | None = None) -> dict:
    """The open_clip_config.json of `model`, a folder or a name: model_cfg and preprocess_cfg.

    A folder has its own preprocessing. A model given by name has the preprocessing of its pretrained weights `tag`.
    Without a tag it has the preprocessing that all its pretrained weights share, or else open_clip's default. (open_clip
    itself uses its default for all models without a tag, SigLIP models among them.)
    """
    config = open_clip_config(model)
    if model_folder(model):
        return config
    import open_clip

    tags = [tag] if tag else open_clip.list_pretrained_tags_by_model(model)
    published = [open_clip.get_pretrained_cfg(model, name) for name in tags]
    choices = [{key: entry[key] for key in PREPROCESSING if key in entry} for entry in published]
    agreed = choices[0] if choices and all(choice == choices[0] for choice in choices) else {}
    return config | {"preprocess_cfg": agreed}


def is_convolutional(network) -> bool:
    """Whether `network` has more convolutions than the one by which a vision transformer cuts its patches."""
    import torch

    return sum(isinstance(layer, torch.nn.Conv2d) for layer in network.modules()) > 1


def memory_format(network):
    """The memory format in which `network` is fastest: channels_last for convolutions, else contiguous_format."""
    import torch

    return torch.channels_last if is_convolutional(network) else torch.contiguous_format


def hub_tokenizer(config: dict) -> str | None:
    """The Hugging Face Hub repository of a model's tokenizer; None if the tokenizer is part of open_clip."""
    return config["model_cfg"].get("text_cfg", {}).get("hf_tokenizer_name")


def save_tokenizer(model: str, folder: Path, offline: bool = True) -> list[Path]:
    """Save the tokenizer of `model` into `folder`, where open_clip looks for it; returns its files.

    A tokenizer that is part of open_clip has no files. With `offline` nothing is downloaded. Raises `NetworkError` if the
    tokenizer is not available.
    """
    if not hub_tokenizer(open_clip_config(model)):
        return []
    tokenizer = load_tokenizer(model, offline)
    with TemporaryDirectory(dir=folder) as temporary:
        tokenizer.save_pretrained(temporary)
        names = sorted(path.name for path in Path(temporary).iterdir())
        for name in names:
            publish(Path(temporary) / name, folder / name)
    return [folder / name for name in names]


def open_tokenizer(name: str, **options: object):
    """open_clip's tokenizer of a model, by its `name` there.

    A file of merges that the model's configuration names may be one that the workflow ships: open_clip itself looks for it
    in the working directory alone.
    """
    import open_clip

    text = open_clip_config(name.removeprefix("local-dir:"))["model_cfg"].get("text_cfg", {})
    if merges := text.get("tokenizer_kwargs", {}).get("bpe_path"):
        options["bpe_path"] = shipped(merges)
    return open_clip.get_tokenizer(name, **options)


def load_tokenizer(model: str, offline: bool):
    """The tokenizer of `model`, which has one on the Hub; raises `NetworkError` if it is not available."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder, repository = model_folder(model), hub_tokenizer(open_clip_config(model))
    try:
        return open_tokenizer(open_clip_name(model), local_files_only=offline)
    except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
        if folder:
            place = "that folder"
            code = (
                f"import transformers as t; t.AutoTokenizer.from_pretrained('{repository}').save_pretrained('{folder}')"
            )
        else:
            place = f"{HF_HUB_CACHE} (HF_HOME moves it; all nodes have to see it)"
            code = f"import open_clip; open_clip.get_tokenizer('{model}')"
        raise NetworkError(
            f"{model} takes its tokenizer from {repository} on the Hugging Face Hub, and it cannot be loaded from {place}: "
            f"{first_line(error)} A run downloads no tokenizer. Download it once before, on a machine with internet access: "
            f'uv run python -c "{code}"'
        ) from error


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_random(model: str) -> None:
    """Raise `NetworkError` for a model whose text tower open_clip would initialise with downloaded weights."""
    text = open_clip_config(model)["model_cfg"].get("text_cfg", {})
    if "hf_model_name" in text:
        raise NetworkError(
            f"{model} has the text tower of {text['hf_model_name']}, which open_clip initialises with that model's weights. "
            "Trainings here start from random weights. Name another model."
        )


def check_network(model: str) -> None:
    """Raise `NetworkError` if open_clip does not know `model`, or if its tokenizer would have to be downloaded."""
    if hub_tokenizer(open_clip_config(model)):
        # In a process of its own: Snakemake's process would keep torch in memory until the run ends.
        in_own_process(load_tokenizer, model, True)
