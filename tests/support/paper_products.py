"""What tests read from the products of the paper's own experiment in miniature."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from pypdf import PdfReader

from experiments import ROOT
from paper_small import ASKED

GROUPS = {"imagenet-r": [[2], [5]], "objectnet": [[0, 1], [3]]}
"""The classes of the stand-in for ImageNet that each class of a shift is: its two missiles have the labels 2 and 4."""


def text_of(figure: Path) -> str:
    """The words on the one page of a PDF file, each run of white space as one space."""
    (page,) = PdfReader(figure).pages
    return " ".join(page.extract_text().split())


def says(text: str, *labels: str) -> bool:
    """Whether each of `labels` stands in `text`, and not only as a part of a longer name."""
    return all(re.search(rf"(?<![\w-]){re.escape(label)}(?![\w-])", text) for label in labels)


def table_of(folder: Path) -> list[dict]:
    """The rows of a table in parts."""
    return [row for path in sorted(folder.glob("[0-9]*.parquet")) for row in parquet.read_table(path).to_pylist()]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def ask_open_clip(run: Path, environment: dict[str, str]) -> dict:
    """What open_clip alone answers to the models of a run; see paper_models.py."""
    command = [sys.executable, ROOT / "tests" / "support" / "paper_models.py", run, *ASKED]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


def answered(known: dict, models: list[str], shares: list[float], testset: str, classes: str):
    """Predictions and labels by the averaged logits of `models`: over a set's own classes, or a shift's by ImageNet's."""
    answers = [known["answers"][model][testset] for model in models]
    labels = np.array(answers[0]["labels"])
    over = "own" if classes == "all" else "imagenet"
    logits = sum(share * np.array(answer[over]) for share, answer in zip(shares, answers, strict=True))
    if classes != "all":
        logits = np.stack([logits[:, group].max(axis=1) for group in GROUPS[classes]], axis=1)
        if testset == "imagenet":
            own = {label: place for place, group in enumerate(GROUPS[classes]) for label in group}
            kept = [place for place, label in enumerate(labels) if label in own]
            logits, labels = logits[kept], np.array([own[labels[place]] for place in kept])
    return logits, labels
