"""Every configuration that a page shows, planned by Snakemake as a user would who copies it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import yaml

from experiments import ROOT
from make_miniweb import make_source
from pages import PAGES, README, blocks, page_id, text_of
from runs import copy_workflow, run_snakemake
from small_testsets import write_classification
from tars import write_folder, write_hub_tars

BASES = {"paper": "config/paper.yaml", "demo": "config/demo.yaml"}
# Inside the tables, values of the keys that the row or the sentence names.
INLINE = {
    "claims": r"`(\{best: .+?\})` says",
    "mixtures": r"`(my_mixture: .+?)` under `mixtures`",
    "download": r"`download: (\{proxy: .+?\})` sends",
    "testsets": r"corrupted: `(\{kind: fog, severity: 3\})`",
    "pretrained": r"`(\{model: RN50-quickgelu, tag: openai\})`",
}


def shown() -> list[pytest.param]:
    """Each YAML block of the pages, and the demo's commented-out source."""
    found = [
        pytest.param(block, id=f"{page_id(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, "yaml"))
    ]
    (commented,) = re.findall(r"^#\n((?:#   .*\n)+)", text_of(ROOT / "config/demo.yaml"), re.MULTILINE)
    lines = [line.removeprefix("#   ") for line in commented.splitlines()]
    return [*found, pytest.param("sources:\n" + "".join(f"  {line}\n" for line in lines), id="demo.yaml")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone with all files that the pages speak of; its long lists are as good as read, so that no row is counted."""
    folder = copy_workflow(tmp_path_factory.mktemp("documented") / "clone")
    for source in yaml.safe_load((ROOT / BASES["paper"]).read_text(encoding="utf-8"))["sources"]:
        make_source(source, 20, 0, folder / "drawn" / source / "manifest.json")
        shutil.copytree(folder / "drawn" / source / "list", folder / "data/lists" / source)
        take_as_read(folder, source)
    take_as_read(folder, "cc12m_small")
    own = {"url": ["http://photos.test/1.jpg"] * 100_000, "alt_text": ["a cat"] * 100_000}
    parquet.write_table(pa.table(own), folder / "data/lists/my_source.parquet")
    (folder / "my_list.csv").write_text("image_url,text\n" + "http://photos.test/1.jpg,a cat\n" * 5000)
    for place in ("my_tars", "data/cc12m"):
        write_hub_tars(folder / place, 10)
    for place in ("my_photos", "data/photos"):
        write_folder(folder / place, 10)
    (folder / "data/photos.csv").write_text("file,text\nphotos/1.jpg,a cat\n")
    (folder / "data/lists/metaclip").mkdir()
    for path in ("metadata.json", "data/lists/metaclip/metadata.json"):
        (folder / path).write_text('["cat", "mug"]')
    parquet.write_table(
        pa.table({"url": ["http://photos.test/1.jpg"], "score": [0.5]}), folder / "data/my_scores.parquet"
    )
    (folder / "data/my_captions").mkdir()
    (folder / "data/my_captions/1.csv").write_text("uid,synthetic_caption\n00,a cat\n")
    np.save(folder / "data/my_subset.npy", np.zeros(1, "u8,u8"))
    write_classification(folder / "data/imagenet_val", ["cat", "bird"], [0, 1])
    # What every user of Wikimedia's images has to fill in.
    (folder / "contact.yaml").write_text("download: {contact: lab@example.org}\n")
    return folder


def take_as_read(folder: Path, source: str) -> None:
    pairs = folder / f"results/metadata/{source}/pairs.parquet"
    pairs.parent.mkdir(parents=True)
    pairs.touch()


def base_of(config: dict) -> list[str]:
    """The experiment that a fragment belongs to: the paper's where it names what only that has; none for a whole one."""
    if "experiment" in config:
        return []
    paper = yaml.safe_load((ROOT / BASES["paper"]).read_text(encoding="utf-8"))
    words = set(re.findall(r"[\w-]+", yaml.safe_dump(config)))
    of_paper = words & {*paper["sources"], *paper["testsets"]} or config.get("similarity") == paper["similarity"]
    return [BASES["paper" if of_paper else "demo"]]


def planned(folder: Path, config: dict) -> str:
    (folder / "copied.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return run_snakemake(folder, "-n", "all", "--configfile", *base_of(config), "copied.yaml", "contact.yaml").stdout


@pytest.mark.parametrize("block", shown())
def test_a_block_of_yaml_is_planned(clone, block):
    config = yaml.safe_load(block)
    output = planned(clone, config)
    for pool in [*config.get("sources", {}), *config.get("filters", {}), *config.get("mixtures", {})]:
        assert re.search(rf"\b{pool}\b", output), f"{pool} is not in the plan"


@pytest.mark.parametrize("key", INLINE)
def test_a_value_inside_a_sentence_is_planned(clone, key):
    found = [match[1] for page in PAGES for match in re.finditer(INLINE[key], text_of(page))]
    assert found, f"no page has {INLINE[key]}"
    for text in found:
        value = yaml.safe_load(text)
        config = {
            "claims": {"claims": [value]},
            "mixtures": {"mixtures": value},
            "download": {"download": value},
            "testsets": {"testsets": {"foggy": {"corrupt": value}}},
            "pretrained": {"pretrained": {"published": value}},
        }[key]
        if "my_source" in text:
            source = next(block for block in blocks(README, "yaml") if block.startswith("sources:"))
            config |= yaml.safe_load(source)
            config["sources"]["my_source"]["sizes"] = [2048, 4096]
        for mixture in config.get("mixtures", {}).values():
            mixture["sizes"] = [2048]
        assert "Job stats" in planned(clone, config)
