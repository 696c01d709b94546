"""Quick starts: optional packages that open_clip imports when they are there, and that a run does not use, are left out.

They take half of the 8 s that the trainer needs to start, and an experiment starts it once for each model.
"""

import json
import os
import sys

OPTIONAL = {"timm": "timm", "transformers": "hf_", "wandb": "wandb", "torch.utils.tensorboard": "tensorboard"}
"""Packages that open_clip does without, and the word in a configuration that asks for each."""


def skip_unused_imports(*configurations: object) -> None:
    """Hide from `import` the optional packages that none of the (JSON-like) `configurations` asks for."""
    text = json.dumps(configurations)
    os.environ.setdefault("TQDM_DISABLE", "1")
    for package, word in OPTIONAL.items():
        if word not in text:
            sys.modules.setdefault(package, None)
