"""The schema: every key is explained, has a default where one makes sense, and defaults are filled in at every depth."""

from collections.abc import Iterator

import jsonschema
import pytest
import yaml

from experiments import SCHEMA, load, small
from testbed.planning.config_files import WHOLE

TEXT = yaml.safe_load(SCHEMA.read_text())

WITHOUT_DEFAULT = {
    # instead of checkpoint_minutes
    *["architecture.checkpoint_steps", "architecture.checkpoints_per_epoch"],
    # one or the other
    *["metadata.path", "metadata.format", "metadata.columns", "metadata.miniweb", "testset.path", "testset.miniweb"],
    # first
    "columns.several",
    # of one format
    "metadata.join",
    # in place of a path
    "metadata.retrieve",
    *["local_shards.path", "local_shards.retrieve"],
    # lists have them or not
    *["columns.sha256", "columns.md5"],
    *["testset.retrieve", "testset.corrupt"],
    *["source.metadata", "source.shards", "source.files"],
    # all samples of the tars
    "source.samples",
    # key.txt, or else the field caption
    "local_shards.caption",
    # the reference
    "corrupt.of",
    # as huggingface_hub has it
    "checkpoint_origin.url",
    # nothing is measured
    "similarity.teacher",
    # by name
    "testset.classes",
    # all that the members have in common
    "ensemble.sizes",
    # the key
    *["source.title", "mixture.title", "ensemble.title", "filter.title"],
    # as the experiment's
    *["source.sizes", "mixture.sizes", "filter.sizes"],
    # of one method each
    *["filter.entries", "filter.t", "filter.tail_fraction", "filter.teacher", "filter.threshold", "filter.fraction"],
    *["filter.per_class", "filter.where", "filter.language", "filter.minimum_words", "filter.maximum_words"],
    *["filter.against", "filter.distance", "filter.similarity"],
    *["filter.minimum_characters", "filter.maximum_characters", "filter.minimum_side", "filter.maximum_aspect_ratio"],
    *[f"filter.{key}" for key in ("as_many_as", "path", "columns_from", "caption", "share")],
    # the name of the key, and all columns
    *["columns_from.key_column", "columns_from.columns"],
    *[f"teacher.{key}" for key in ("pool", "size", "architecture", "seed", "model", "tag", "checkpoint", "device")],
    # of one kind each
    *["entries.path", "entries.sha256", "entries.minimum"],
}
"""Optional keys whose absence means something that no value of their own could say."""


def objects(schema: object, name: str) -> Iterator[tuple[str, dict]]:
    """Every object with named keys in the schema, with the name of its place."""
    if not isinstance(schema, dict):
        return
    if "properties" in schema:
        yield name, schema
    for key, entry in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        yield from objects(entry, key)


OBJECTS = list(objects(TEXT, "experiment"))
KEYS = [
    (f"{name}.{key}", entry, key in schema.get("required", []))
    for name, schema in OBJECTS
    for key, entry in schema["properties"].items()
]


def resolved(entry: dict) -> dict:
    """`entry` with what it refers to."""
    if "$ref" not in entry:
        return entry
    return {**TEXT["$defs"][entry["$ref"].rpartition("/")[2]], **entry}


def test_the_schema_is_sound_and_walked_to_its_leaves():
    jsonschema.Draft202012Validator.check_schema(TEXT)
    names = {name for name, _, _ in KEYS}
    assert {"experiment.seed", "columns.url", "architecture.extra", "download.proxy", "metadata.path"} <= names
    assert names >= WITHOUT_DEFAULT


@pytest.mark.parametrize(("name", "schema"), OBJECTS, ids=[name for name, _ in OBJECTS])
def test_unknown_keys_are_refused_everywhere(name, schema):
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("name", "entry", "required"), KEYS, ids=[name for name, _, _ in KEYS])
def test_every_key_is_explained_typed_and_has_a_default(name, entry, required):
    # Said at the key itself: what it refers to explains only what its values look like.
    assert entry["description"].endswith(".")
    assert {"type", "enum"} & set(resolved(entry))
    assert ("default" in entry) == (not required and name not in WITHOUT_DEFAULT)


@pytest.mark.parametrize(("name", "entry"), [(name, entry) for name, entry, _ in KEYS if "default" in entry])
def test_defaults_are_themselves_valid(name, entry):
    schema = {"$schema": TEXT["$schema"], "$defs": TEXT["$defs"], **entry}
    # The schema itself is checked above.
    jsonschema.Draft202012Validator(schema).validate(entry["default"])


def test_an_experiment_is_whole_with_what_the_schema_requires():
    assert set(TEXT["required"]) == WHOLE


def test_defaults_are_filled_in_at_every_depth():
    architecture = {"model": "RN50", "batch_size": 8, "epochs": 1, "learning_rate": 0.1}
    columns = {"path": "x.csv", "format": "csv", "columns": {"url": "link"}}
    config = load(small(architectures={"x": architecture}, sources__c={"metadata": columns, "samples": 200})).config
    assert config["architectures"]["x"]["beta2"] == 0.999
    assert config["architectures"]["x"]["extra"] == {}
    assert config["sources"]["c"]["metadata"]["columns"] == {"url": "link", "caption": "caption"}
    for section in ("statistics", "shuffle", "download", "shards", "miniweb", "evaluation"):
        assert set(config[section]) == set(TEXT["properties"][section]["properties"])
