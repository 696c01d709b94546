"""docs/outputs.md against a real run: every file that it leaves is documented, and every documented file is there."""

import re
from pathlib import Path

from pages import OUTPUTS, text_of

# What the tiny run on one machine has no cause to leave.
LATER_PASS = {f"results/downloads/<source>/<part>/NNNNN-N.{kind}" for kind in ("tar", "parquet")}
UNFINISHED = {
    "results/models/<model>/work/",
    "results/models/<model>/wandb/",
    "results/models/<model>/interrupted.json",
    "results/logs/<rule>/<job>.progress",
}
OF_FETCHED_TESTSETS = {f"results/testsets/<testset>/{name}" for name in ("dataset_type.txt", "record.json")}
OF_CORRUPTED_TESTSETS = {"results/testsets/<testset>/test/N.json"}
PRETRAINED = {
    f"results/pretrained/<pretrained>/{name}"
    for name in ("manifest.json", "open_clip_config.json", "open_clip_model.safetensors", "tokenizer*.json")
}
OF_HUB_TOKENIZERS = {f"results/{of}/tokenizer*.json" for of in ("models/<model>", "teachers/<filter>")}
OF_PUBLISHED_TABLES = {
    "results/retrieved/<table>.csv",
    "results/tables/baselines.csv",
    "results/tables/reference_models.csv",
}
# Of experiments with several shares of a pair of pools (test_paper_small), and of lists that are fetched (test_own_source).
OF_RATIOS = {*(f"results/plots/mixture_ratios.{kind}" for kind in ("pdf", "png")), "results/tables/mixture_law.csv"}
OF_FETCHED_LISTS = {"results/lists/<source>/manifest.json"}
# Of sources on disk, which have a run of their own (test_own_tars).
ON_DISK = {
    *(f"results/indexed/<source>/<group>/{name}" for name in ("manifest.json", "NNNNNN.parquet", "NNNNNN.json")),
    "results/shards/<source>/NNNNNN.parquet",
    *(f"results/tars/<source>/<group>/{name}" for name in ("manifest.json", "files/*.tar", "record.json")),
}


# Of a published teacher of similarity (test_paper_small).
OF_PUBLISHED_TEACHERS = {
    f"results/similarity_teacher/{name}"
    for name in ("manifest.json", "open_clip_config.json", "open_clip_model.safetensors", "tokenizer*.json")
}
OF_REQUESTS = {"results/subsets/<pool>.npy"}


def of_filters() -> set[str]:
    """Those of filters, which have a run of their own (test_filtered_pools)."""
    return {path for path in documented() if "<filter>" in path or path.startswith("results/samples/")}


RARE = (
    OF_HUB_TOKENIZERS
    | OF_PUBLISHED_TABLES
    | LATER_PASS
    | UNFINISHED
    | OF_FETCHED_TESTSETS
    | OF_CORRUPTED_TESTSETS
    | PRETRAINED
    | ON_DISK
    | OF_RATIOS
    | OF_FETCHED_LISTS
    | OF_PUBLISHED_TEACHERS
    | OF_REQUESTS
)
ELSEWHERE = {"results/logs/slurm/", "results/report.zip"} | RARE


def documented() -> dict[str, re.Pattern]:
    """The paths of docs/outputs.md and what each of them stands for."""
    paths = re.findall(r"^\| `(results/[^`]+)`", text_of(OUTPUTS), re.MULTILINE)
    return {path: re.compile(pattern_of(path)) for path in paths}


def pattern_of(path: str) -> str:
    """`<name>` is any one name, `*` any part of one, a run of five or six N as many digits, and a single N a number."""
    pattern = re.sub(r"<\w+>", "[^/]+", re.escape(path)).replace(r"\*", "[^/]*")
    return re.sub(r"\bN+\b", lambda run: rf"\d{{{len(run[0])}}}" if len(run[0]) > 1 else r"\d+", pattern)


def compare(folder: Path) -> tuple[list[str], set[str]]:
    """The files of a run that no line of the page stands for, and the lines that stand for none of its files."""
    files = [
        str(path.relative_to(folder))
        for path in (folder / "results").rglob("*")
        if not path.is_dir() and path.name != ".lock"
    ]
    patterns = documented()
    unknown = [file for file in files if not any(pattern.fullmatch(file) for pattern in patterns.values())]
    return unknown, {path for path, pattern in patterns.items() if not any(map(pattern.fullmatch, files))}


def test_a_run_leaves_what_is_documented(tiny_run):
    unknown, unmade = compare(tiny_run)
    assert unknown == []
    assert unmade - ELSEWHERE - of_filters() == set()
