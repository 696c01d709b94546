"""Quick starts: packages that are imported when they are there, and that a run does not use, are left out.

They take more than half of the 8 s that the trainer needs to start, and an experiment starts it once for each model.
"""

import json
import os
import sys
from importlib.abc import MetaPathFinder
from types import ModuleType

OPTIONAL = {"timm": "timm", "transformers": "hf_", "wandb": "wandb", "torch.utils.tensorboard": "tensorboard"}
"""Packages that open_clip does without, and the word in a configuration that asks for each."""


def skip_unused_imports(*configurations: object) -> None:
    """Hide from `import` the optional packages that none of the (JSON-like) `configurations` asks for."""
    text = json.dumps(configurations)
    os.environ.setdefault("TQDM_DISABLE", "1")
    for package, word in OPTIONAL.items():
        if word not in text:
            sys.modules.setdefault(package, None)


def skip_compiler() -> None:
    """Have torch do without its compiler, for runs on a CPU that compile nothing.

    torchvision imports the whole of it to ask whether it is there, and optimisers to keep out of it.
    """
    stand_in("torch._dynamo", disable=lambda function, *_, **__: function, graph_break=lambda: None)
    stand_in("torch._dynamo.utils", is_compile_supported=lambda _: False)


def skip_sklearn() -> None:
    """Have CLIP_benchmark's metrics do without scikit-learn, which they import for functions that are not called here."""
    stand_in("sklearn.metrics", classification_report=None, balanced_accuracy_score=None)


def skip_for_training(architecture: dict, configuration: dict | None, loggers: list[str]) -> None:
    """Hide what a training of `architecture` (the experiment's entry) does not use.

    `configuration` is open_clip's of a model in a folder; None stands for one that open_clip knows by name, which may need
    any package. `loggers` are the names of those in use.
    """
    if configuration is not None:
        skip_unused_imports(architecture, configuration, loggers)
    if architecture["device"] == "cpu" and "torchcompile" not in architecture["extra"]:
        skip_compiler()
        # open_clip's trainer reads lists in CSV files with pandas. The compiler and the packages hidden above look for it.
        if configuration is not None and "wandb_project" not in loggers:
            stand_in("pandas")


def skip_pandas() -> None:
    """Have pyarrow do without pandas, which it imports to ask whether a list is one of its columns."""
    sys.meta_path.insert(0, Absent())


class Absent(MetaPathFinder):
    """Has `import` find no pandas. None in its place, as for others, is what pyarrow's compiled code would take for it."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def stand_in(name: str, **content: object) -> None:
    """Make `import` find a module with nothing but `content`, unless the real one is there already."""
    module = ModuleType(name)
    vars(module).update(content)
    sys.modules.setdefault(name, module)
