"""The experiment language and its documentation are in step, and every experiment and example is sound."""

import re
from functools import cache

import pytest
import yaml

from experiments import EXPERIMENTS, SCHEMA, load, read
from pages import CONFIG_README, README, blocks, tables, text_of


@cache
def schema() -> dict:
    return yaml.safe_load(text_of(SCHEMA))


def resolve(node: dict) -> dict:
    """An object of the schema with references followed; for a mapping from names, the object of an entry."""
    while "$ref" in node or isinstance(node.get("additionalProperties"), dict):
        reference = node.get("$ref") or node["additionalProperties"].get("$ref")
        if reference is None:
            return node
        node = schema()["$defs"][reference.rpartition("/")[2]]
    return node


def sections() -> dict[str, dict]:
    """The objects of the schema that have a section in config/README.md, by its heading."""
    objects = {name: resolve(node) for name, node in schema()["properties"].items()}
    own = {name: node for name, node in objects.items() if "properties" in node}
    definitions = schema()["$defs"]
    of_sources = {"metadata": definitions["metadata"], "sources.shards": definitions["local_shards"]}
    of_sources["sources.files"] = definitions["local_files"]
    return {"experiment": schema(), **of_sources, "teacher": definitions["teacher"], **own}


def default_of(name: str, owner: dict) -> object:
    """The default of a key, "required" for one that must be given, and "–" for one that may be left out."""
    return "required" if name in owner.get("required", []) else owner["properties"][name].get("default", "–")


def keys_of(section: str) -> dict[str, object]:
    """The keys of a section and their defaults, in the schema."""
    node = sections()[section]
    keys = {name: default_of(name, node) for name in node["properties"]}
    for name, inner in node["properties"].items():
        if name not in sections() and "properties" in inner:
            # A small object without a section of its own is explained in place, with dotted keys.
            keys |= {f"{name}.{key}": default_of(key, inner) for key in inner["properties"]}
    return keys


def explained_keys(section: str) -> dict[str, object]:
    """The keys of a section and their defaults, in config/README.md."""
    rows = next(rows for heading, rows in tables(CONFIG_README).items() if heading.startswith(f"`{section}`"))
    values = {cells[0].strip("`"): cells[1] for cells in rows if len(cells) == 3}
    return {key: yaml.safe_load(text.strip("`")) if text.startswith("`") else text for key, text in values.items()}


@pytest.mark.parametrize("section", sections())
def test_every_key_is_explained_with_its_default(section):
    assert explained_keys(section) == keys_of(section)


def test_every_choice_is_explained():
    def choices(node: object):
        if isinstance(node, dict):
            yield from (value for value in node.get("enum", []) if isinstance(value, str))
            for inner in node.values():
                yield from choices(inner)

    missing = {value for value in choices(schema()) if f"`{value}`" not in text_of(CONFIG_README)}
    assert missing == set()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_are_sound(name):
    config = read(name)
    experiment = load(config)
    assert config["experiment"] == name
    for pool in experiment.pools:
        assert len(experiment.sizes(pool)) >= 3, f"{pool}: an interval needs three models"


def test_experiments_share_no_names():
    """All experiments share results/, so that equal names would be equal files."""
    owner: dict[str, str] = {}
    for name in EXPERIMENTS:
        for kind in ("sources", "mixtures", "filters", "architectures", "testsets"):
            for entry in read(name).get(kind, {}):
                key = "pool" if kind in ("sources", "mixtures", "filters") else kind
                assert owner.setdefault(f"{key} {entry}", name) == name, f"{kind}.{entry} is in two experiments"


def test_paper_experiment_has_the_papers_design():
    experiment = load(read("paper"))
    assert set(experiment.sources) == {"yfcc", "laion", "cc12m", "redcaps", "wit", "shutterstock"}
    assert set(experiment.shifts) == {"imagenet-v2", "imagenet-r", "imagenet-sketch", "objectnet"}
    assert experiment.members("all_six") == dict.fromkeys(experiment.sources, pytest.approx(1 / 6))
    recipe = {
        "model": "RN50",
        "batch_size": 1024,
        "epochs": 16,
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "warmup": 5000,
    }
    assert {key: experiment.config["architectures"]["rn50"][key] for key in recipe} == recipe


def test_paper_experiment_takes_no_more_of_a_source_than_is_expected_to_come_back():
    experiment = load(read("paper"))
    for source in experiment.sources:
        assert experiment.needed(source) == experiment.sizes(source)[-1]


def test_whole_example_is_sound():
    example = next(block for block in blocks(CONFIG_README, "yaml") if block.startswith("experiment:"))
    experiment = load(yaml.safe_load(example))
    assert all(len(experiment.sizes(pool)) >= 3 for pool in experiment.pools)


def test_own_source_is_five_lines():
    example, *on_disk = (block for block in blocks(README, "yaml") if block.startswith("sources:"))
    assert len(example.splitlines()) == 5
    assert len(on_disk) == 2 and all(len(block.splitlines()) < 5 for block in on_disk)
    mixture = re.search(r"`(my_mixture: .+?)` under `mixtures`", text_of(README))
    config = read("paper")
    config["sources"] |= yaml.safe_load(example)["sources"]
    config["sources"]["my_source"]["sizes"] = [100_000]
    config["mixtures"] |= yaml.safe_load(mixture[1])
    config["mixtures"]["my_mixture"]["sizes"] = [200_000]
    assert load(config).composition("my_mixture", 200_000) == {"my_source": 100_000, "cc12m": 100_000}
