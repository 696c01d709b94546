"""Configuration files as files: what is no YAML, keys that stand twice, targets that are taken for a file."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import yaml

from testbed.experiment.errors import ExperimentError, did_you_mean
from testbed.records.shipped import ROOT

SUFFIXES = (".yaml", ".yml", ".json")

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where PyYAML was built with libyaml, as its wheels are; each job reads the configuration again."""


def check_command(words: Sequence[str]) -> None:
    """End the process with a message where a word behind ``--configfile`` of Snakemake's command line is none.

    Snakemake reads these files before it reads the workflow, so profiles/default/config.yaml calls this.
    """
    for place, option in enumerate(words):
        if option in ("--configfile", "--configfiles"):
            given = list(takewhile(is_value, words[place + 1 :]))
            try:
                check_given(given)
            except ExperimentError as error:
                sys.exit(f"Error: {error}")


def is_value(word: str) -> bool:
    return not word.startswith("-")


def is_target(word: str) -> bool:
    """Whether a word names something that a run makes: it lies in results/, or is no file and has no file's ending."""
    path = Path(word)
    return path.parts[:1] == ("results",) or (path.suffix not in SUFFIXES and not path.is_file())


def check_given(given: Sequence[str]) -> None:
    """Raise `ExperimentError` where one of the words behind ``--configfile`` is a target, or no configuration file."""
    targets = [word for word in given if is_target(word)]
    files = [word for word in given if word not in targets]
    if targets:
        command = " ".join(["uv run snakemake", *targets, *(["--configfile", *files] if files else [])])
        raise ExperimentError(
            f"{' '.join(targets)} was taken for a configuration file, as every word behind --configfile is. Write targets "
            f"before it: {command}"
        )
    for file in files:
        if not Path(file).is_file():
            raise ExperimentError(f"{file}: there is no such configuration file. Correct the path.")
        repeated_keys(file)


def repeated_keys(file: str | Path) -> list[str]:
    """A line for each key that stands twice in a mapping of a YAML file, where the second would silently win.

    Raises `ExperimentError` with file and line where it is no YAML, or no mapping. JSON is left to Snakemake.
    """
    if str(file).endswith(".json"):
        return []
    try:
        with open(file, encoding="utf-8") as stream:
            loader = LOADER(stream)
            nodes = loader.get_single_node()
            if not isinstance(nodes, yaml.MappingNode):
                raise ExperimentError(
                    f"{file}: holds no keys. A configuration file is a YAML mapping, such as: seed: 1"
                )
            # An alias leads to the same mapping again.
            twice = dict.fromkeys(f"{file}, line {line}" for line in _repeated(nodes))
            loader.construct_document(nodes)
    except yaml.MarkedYAMLError as error:
        mark, began = error.problem_mark, error.context_mark
        context = f" {error.context}, which begins in line {began.line + 1}" if error.context and began else ""
        raise ExperimentError(
            f"{file}, line {mark.line + 1}, column {mark.column + 1}: is no YAML: {error.problem}{context}. Look for an "
            "open bracket or quote, a missing space or colon, or a tab."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{file}: is no YAML: {error}") from error
    return list(twice)


def _repeated(node: yaml.Node, above: str = "") -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _repeated(item, f"{above}{place}.")
    if isinstance(node, yaml.MappingNode):
        lines: dict[object, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                yield f"{line}: key {above}{name} stands twice, first in line {lines[name]}. Take one of them out."
            lines.setdefault(name, line)
            yield from _repeated(value, f"{above}{name}.")


def missing_experiment(config: Mapping) -> str | None:
    """What is wrong where there is no file of the experiment that `config` names; None where `config` holds all of it."""
    name = config.get("experiment")
    if name is None or "sources" in config:
        return None
    shipped = sorted(file.stem for file in (ROOT / "config").glob("*.yaml") if file.stem != "config")
    return (
        f"experiment: {name}: there is no config/{name}.yaml in {Path.cwd()}, and the workflow ships none."
        f"{did_you_mean(name, shipped)} Write the file, or name one of {', '.join(shipped)}."
    )


def origin(own: Sequence[str], given: Sequence[Path], experiment: str, settings: Mapping) -> str:
    """What an experiment is made of: the workflow's `own` files, those `given` on the command line, and its `settings`,
    the files' content included, which may name the experiment."""
    near = [os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else str(file) for file in given]
    files = list(dict.fromkeys([*own, *near]))
    if "experiment" in settings:
        return f"Configuration: {' + '.join(files)} (experiment: {experiment})."
    line = f"Configuration: {' + '.join(files)} (experiment: {experiment}, the default)."
    if given:
        line += (
            f" {files[-1]} has no key experiment and so changes the {experiment}; if it is a whole experiment, put its name "
            "there."
        )
    return line
