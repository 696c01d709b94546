"""Validation of the experiment: against its JSON schema, and as a whole."""

import copy
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path

import jsonschema
import yaml

from testbed.experiment.checks import experiment_problems
from testbed.experiment.errors import ExperimentError, did_you_mean
from testbed.experiment.experiment import Experiment
from testbed.planning.config_files import LOADER
from testbed.planning.defaults import fill_defaults
from testbed.planning.filter_values import filter_value_problems
from testbed.planning.given_files import file_problems
from testbed.training.options import architecture_problems


def is_integer(_: object, value: object) -> bool:
    """Return whether `value` is an int. JSON schema would accept 1000000.0 too, but sizes and seeds are in file names."""
    return isinstance(value, int) and not isinstance(value, bool)


Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer),
)


def set_defaults(validator: Validator, properties: dict, instance: object, schema: dict) -> Iterator:
    """Set missing `properties` of `instance` to their defaults, and validate them, as jsonschema's FAQ does."""
    for name, entry in properties.items():
        if "default" in entry:
            instance.setdefault(name, entry["default"])
    yield from Validator.VALIDATORS["properties"](validator, properties, instance, schema)


# Snakemake's own `validate` parses the schema in Python, which takes longer than the rest of this module.
Filler = jsonschema.validators.extend(Validator, {"properties": set_defaults})


def load_experiment(config: dict, schema_path: Path | str) -> Experiment:
    """Return the experiment in `config`, validated as a whole, with all defaults filled in.

    Raises `ExperimentError` with a line for each problem. If the schema finds only unknown keys, the other keys and the
    files that they name are checked as well.
    """
    schema = yaml.load(Path(schema_path).read_text(encoding="utf-8"), LOADER)
    errors = sorted(
        Validator(schema).iter_errors(config), key=lambda error: [str(step) for step in error.absolute_path]
    )
    problems = [line for error in errors for line in explain(error)]
    if all(unknown_keys(error) for error in errors):
        config = without_unknown(config, errors) if errors else config
        Filler(schema).validate(config)
        experiment = Experiment(config)
        problems += [
            *experiment_problems(experiment),
            *filter_value_problems(config["filters"]),
            *architecture_problems(config["architectures"]),
        ]
        if problems:
            problems.extend(file_problems(config))
    if problems:
        raise ExperimentError("\n".join(problems))
    fill_defaults(experiment)
    return experiment


def unknown_keys(error: jsonschema.ValidationError) -> list:
    """Return the unknown keys that a violation of the schema is about; an empty list for other violations."""
    if error.validator != "additionalProperties" or not isinstance(error.schema.get("properties"), dict):
        return []
    return [key for key in error.instance if key not in error.schema["properties"]]


def without_unknown(config: dict, errors: list[jsonschema.ValidationError]) -> dict:
    """Return a copy of `config` without its unknown keys."""
    rest = copy.deepcopy(config)
    for error in errors:
        mapping = reduce(getitem, error.absolute_path, rest)
        for key in unknown_keys(error):
            del mapping[key]
    return rest


def explain(error: jsonschema.ValidationError) -> Iterator[str]:
    """Yield a line for each problem in a violation of the schema: key, value, and what is allowed."""
    if error.validator in ("oneOf", "anyOf") and not isinstance(error.instance, Mapping):
        # The violation of the type says it.
        return
    key = ".".join(str(step) for step in error.absolute_path) or "the experiment"
    allowed = sorted(error.schema.get("properties", []))
    unknown = unknown_keys(error)
    for name in unknown:
        yield f"{key}: unknown key {name}.{did_you_mean(name, allowed)} Allowed here: {', '.join(allowed)}."
    if not unknown:
        yield f"{key}: {fault_of(error)} {error.schema.get('description', '')}".strip()


def fault_of(error: jsonschema.ValidationError) -> str:
    """Return what is wrong, in words that need no knowledge of JSON schema or of YAML's special cases."""
    value, message = error.instance, error.message
    if value is None:
        message = "has no value; give it one, or remove the key"
        # Entries of the experiment, such as sources.<name>, are merged with those of the file below.
        if len(error.absolute_path) == 2:
            message += (
                ". A file on top of another cannot remove an entry of it; a copy of the whole file without it can"
            )
    elif error.validator in ("oneOf", "anyOf"):
        choices = " or ".join(" and ".join(choice["required"]) for choice in error.validator_value)
        message = f"has {', '.join(map(str, value)) or 'no key'}; give either {choices}"
    elif error.validator == "dependentRequired":
        message += "; path, format and columns must be given together"
    elif error.validator == "type" and error.validator_value == "object":
        message = f"is {value!r}, and must have keys of its own"
    elif error.validator == "type" and error.validator_value == "array":
        message = f"is {value!r}, and must be a list, such as [{value}]"
    elif error.validator == "minProperties":
        message = (
            f"has {', '.join(map(str, value)) or 'nothing'}, and must have at least {error.validator_value} entries"
        )
    elif error.validator == "type" and error.validator_value in ("integer", "number"):
        message += "; write whole numbers as 1000000 and others as 0.003 or 3.0e-3 (3e-3 is text in YAML)"
    # What is most similar to gpu is cpu.
    meant = "cuda" if value == "gpu" else value
    return f"{message}.{did_you_mean(meant, error.validator_value) if error.validator == 'enum' else ''}"
