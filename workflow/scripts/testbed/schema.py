"""The experiment against its JSON schema, with errors that a user can act on."""

from pathlib import Path

import jsonschema
import yaml

from testbed.errors import ExperimentError


def is_integer(_: object, value: object) -> bool:
    """Unlike JSON schema's own integers, not 1000000.0: sizes and seeds become parts of file names."""
    return isinstance(value, int) and not isinstance(value, bool)


Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer),
)


def check_schema(config: dict, schema_path: Path | str) -> None:
    """Check `config` against the JSON schema; raises `ExperimentError` that names the key, its value and what is allowed."""
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(Validator(schema).iter_errors(config))
    if error is None:
        return
    key = ".".join(str(step) for step in error.absolute_path) or "the experiment"
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), dict):
        allowed = sorted(error.schema["properties"])
        unknown = sorted(set(error.instance) - set(allowed))
        raise ExperimentError(f"{key}: unknown key {', '.join(unknown)}. Allowed here: {', '.join(allowed)}.")
    hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    raise ExperimentError(f"{key}: {explain(error)}. {hint}".strip() + " See config/README.md.")


def explain(error: jsonschema.ValidationError) -> str:
    """What the schema refuses, in words that need no knowledge of JSON schema or of YAML's corners."""
    value = error.instance
    if error.validator == "oneOf":
        choices = " or ".join(" and ".join(choice["required"]) for choice in error.validator_value)
        return f"has {', '.join(value) or 'no key'}; give either {choices}"
    if error.validator == "dependentRequired":
        return f"{error.message}; path, format and columns belong together"
    if error.validator == "type" and value is None:
        return "has no value; give it one, or leave the key out"
    if error.validator == "type" and error.validator_value in ("integer", "number"):
        return f"{error.message}; write whole numbers as 1000000 and others as 0.003 or 3.0e-3 (3e-3 is text in YAML)"
    return error.message
