"""Which settings decide what products are, and their one form."""

import copy

import pytest
import yaml

from experiments import SCHEMA, changed, load, small
from pages import CONFIG_README, text_of
from testbed.experiment.errors import ExperimentError
from testbed.experiment.settings import RUN_ONLY, canonical, product_settings, quotas
from testbed.training.recipe import request_of


def schema_of(section: str) -> dict:
    """The schema of a section of `RUN_ONLY`."""
    schema = yaml.safe_load(SCHEMA.read_text())
    node = schema
    for step in section.split(".") if section else []:
        node = node["additionalProperties"] if step == "*" else node["properties"][step]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node


@pytest.mark.parametrize("section", RUN_ONLY)
def test_keys_that_only_say_how_work_is_done_are_keys_of_the_schema(section):
    assert RUN_ONLY[section] <= set(schema_of(section)["properties"])


def test_the_documentation_names_all_of_them():
    section = text_of(CONFIG_README).split("## What is made again after a change")[1].split("\n## ")[0]
    assert all(f"`{key}`" in section for keys in RUN_ONLY.values() for key in keys)


def test_numbers_and_orders_have_one_form():
    assert repr(canonical({"b": [2.0, 1], "a": {"d": 0.003, "c": True}})) == repr(
        {"a": {"c": True, "d": 3.0e-3}, "b": [2, 1]}
    )


def test_settings_hold_nothing_that_only_says_how_work_is_done():
    settings = product_settings(load(small()).config)
    stored = {"image_size", "minimum_size", "quality", "rotate"}
    assert set(settings["download"]) == {*stored, "private_networks", "retry_failed"}
    assert not set(settings["architectures"]["mini_rn"]) & RUN_ONLY["architectures.*"]
    assert not {"costs", "evaluation", "training"} & set(settings)


def test_a_key_that_is_new_changes_nothing_where_it_is_left_out():
    assert "verify_hashes" not in product_settings(load(small()).config)["download"]
    assert product_settings(load(small(download__verify_hashes=False)).config)["download"]["verify_hashes"] is False


def test_an_option_of_the_trainer_that_has_the_name_of_a_resource_is_kept():
    config = load(changed()).config
    config["architectures"]["mini_rn"]["extra"] = {"gpus": 2}
    assert product_settings(config)["architectures"]["mini_rn"]["extra"] == {"gpus": 2}


def test_the_sum_and_order_of_shares_do_not_matter():
    assert repr(quotas({"b": 0.2, "a": 0.1})) == repr(quotas({"a": 1, "b": 2}))
    one, other = (
        load(small(mixtures={"m": {"shares": shares}})) for shares in ({"b": 0.2, "a": 0.1}, {"a": 1, "b": 2})
    )
    assert repr(product_settings(one.config)["mixtures"]) == repr(product_settings(other.config)["mixtures"])
    assert repr(one.members("m")) == repr(other.members("m"))


def test_a_sample_that_could_be_of_either_member_is_not_given_by_order():
    one, other = (load(small(mixtures={"m": {"shares": dict.fromkeys(names, 1)}})) for names in ("ab", "ba"))
    assert (
        list(one.composition("m", 101).items()) == list(other.composition("m", 101).items()) == [("a", 51), ("b", 50)]
    )


def test_the_request_of_a_training_is_that_of_its_recipe():
    recipe = load(changed()).config["architectures"]["mini_rn"]
    again = dict(reversed(recipe.items())) | {"warmup": float(recipe["warmup"]), "memory_mb": 1, "gpus": 2}
    again["epochs"] = float(recipe["epochs"])
    assert request_of(again, {}, {}, 0) == request_of(recipe, {}, {}, 0)
    assert request_of(again | {"learning_rate": 1}, {}, {}, 0) != request_of(recipe, {}, {}, 0)


def test_two_ensembles_that_a_mixture_could_be_compared_with_are_refused():
    ensembles = {"e": {"shares": {"a": 1, "b": 1}}, "f": {"shares": {"b": 0.5, "a": 0.5}}}
    with pytest.raises(ExperimentError, match=r"ensembles\.f: averages the same members.*ensembles\.e"):
        load(small(ensembles=ensembles))
    other = copy.deepcopy(ensembles)
    other["f"]["average"] = "weights"
    load(small(ensembles=other))


def test_defaults_that_depend_on_other_keys_are_filled_in():
    left_out = small(
        sources__c={"metadata": {"path": "c.jsonl", "format": "jsonl"}, "samples": 1000},
        testsets__rough={"corrupt": {"kind": "fog", "severity": 1}},
        filters={
            "own": {"from": "a", "method": "clip_score", "fraction": 0.5, "teacher": {"pool": "b", "size": 100}},
            "public": {
                "from": "a",
                "method": "clip_score",
                "fraction": 0.5,
                "teacher": {"model": "RN50", "tag": "openai"},
            },
            "words": {"from": "a", "method": "metaclip", "t": 9, "entries": [{"kind": "titles", "path": "t"}]},
        },
    )
    written = copy.deepcopy(left_out)
    written["sources"]["c"]["metadata"]["columns"] = {"caption": "caption", "url": "url", "several": "first"}
    written["testsets"]["rough"]["corrupt"]["of"] = written["reference"]
    for name in ("own", "public"):
        written["filters"][name]["per_class"] = False
    written["filters"]["own"]["teacher"] |= {"architecture": "mini_rn", "seed": 0, "precision": "fp32"}
    written["filters"]["public"]["teacher"]["device"] = "cuda"
    written["filters"]["words"]["entries"][0]["minimum"] = 70
    assert left_out != written
    assert repr(product_settings(load(left_out).config)) == repr(product_settings(load(written).config))
