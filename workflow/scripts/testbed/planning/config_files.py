"""Checks of configuration files: invalid YAML, repeated keys, and targets that are read as files or as settings."""

import copy
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
"""The C loader is ten times as fast, and PyYAML's wheels have it. Each job reads the configuration again."""


def check_command(arguments: Sequence[str]) -> None:
    """Exit with a message if an argument after ``--configfile`` on Snakemake's command line is no configuration file.

    The same for an argument after ``--config`` that sets no key. Snakemake reads both before it reads the workflow, so
    profiles/default/config.yaml calls this.
    """
    for index, option in enumerate(arguments):
        given = list(takewhile(is_value, arguments[index + 1 :]))
        try:
            if option in ("--configfile", "--configfiles"):
                check_given(given)
            if option in ("--config", "-C"):
                check_settings(given)
        except ExperimentError as error:
            sys.exit(f"Error: {error}")


def is_value(argument: str) -> bool:
    return not argument.startswith("-")


def is_target(argument: str) -> bool:
    """Return whether an argument is a target: it is in results/, or is not a file and has no suffix of a config file."""
    path = Path(argument)
    return path.parts[:1] == ("results",) or (path.suffix not in SUFFIXES and not path.is_file())


def check_given(given: Sequence[str]) -> None:
    """Raise `ExperimentError` if an argument after ``--configfile`` is a target, or is no configuration file."""
    targets = [argument for argument in given if is_target(argument)]
    files = [argument for argument in given if argument not in targets]
    if targets:
        command = " ".join(["uv run snakemake", *targets, *(["--configfile", *files] if files else [])])
        raise ExperimentError(
            f"{' '.join(targets)} was read as a configuration file, like every argument after --configfile. Write targets "
            f"before it: {command}"
        )
    for file in files:
        if not Path(file).is_file():
            raise ExperimentError(f"{file}: there is no such configuration file. Correct the path.")
        repeated_keys(file)


def check_settings(given: Sequence[str]) -> None:
    """Raise `ExperimentError` if an argument after ``--config`` is not a key with a value, or has numbers in a list."""
    # Snakemake gives the settings of its own jobs encoded.
    targets = [argument for argument in given if "=" not in argument and not argument.startswith("base64//")]
    if targets:
        settings = [argument for argument in given if argument not in targets]
        command = " ".join(["uv run snakemake", *targets, *(["--config", *settings] if settings else [])])
        raise ExperimentError(
            f"{' '.join(targets)} was read as a setting, like every argument after --config. Write targets before it, and "
            f"settings as key=value: {command}"
        )
    for setting in given:
        key, _, value = setting.partition("=")
        if value.startswith(("[", "{")) and not only_text(value):
            raise ExperimentError(
                f"--config {setting}: Snakemake reads numbers in a list as text. Write `{key}: {value}` into a file "
                "and give it with --configfile."
            )


def only_text(value: str) -> bool:
    """Return whether a list or mapping in YAML has no value but text; True if it is no YAML, which Snakemake refuses."""
    try:
        parts = [yaml.load(value, LOADER)]
    except yaml.YAMLError:
        return True
    while parts:
        part = parts.pop()
        if isinstance(part, list | dict):
            parts.extend(part.values() if isinstance(part, dict) else part)
        elif not isinstance(part, str):
            return False
    return True


def repeated_keys(file: str | Path) -> list[str]:
    """Return a line for each repeated key in a mapping of a YAML file. YAML would silently use the last one.

    Raises `ExperimentError` with file and line if the file is not YAML or not a mapping. Snakemake checks JSON itself.
    """
    if str(file).endswith(".json"):
        return []
    try:
        with open(file, encoding="utf-8") as stream:
            loader = LOADER(stream)
            nodes = loader.get_single_node()
            if not isinstance(nodes, yaml.MappingNode):
                raise ExperimentError(f"{file}: has no keys. A configuration file is a YAML mapping, such as: seed: 1")
            # A YAML alias gives the same mapping again.
            repeated = dict.fromkeys(f"{file}, line {line}" for line in _repeated(nodes))
            loader.construct_document(nodes)
    except yaml.MarkedYAMLError as error:
        mark, start = error.problem_mark, error.context_mark
        context = f" {error.context}, which begins in line {start.line + 1}" if error.context and start else ""
        raise ExperimentError(
            f"{file}, line {mark.line + 1}, column {mark.column + 1}: is not YAML: {error.problem}{context}. Look for an "
            "open bracket or quote, a missing space or colon, or a tab."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{file}: is not YAML: {error}. Correct the file.") from error
    return list(repeated)


def _repeated(node: yaml.Node, above: str = "") -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, f"{above}{index}.")
    if isinstance(node, yaml.MappingNode):
        lines: dict[object, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                yield f"{line}: key {above}{name} is there twice, first in line {lines[name]}. Remove one of them."
            lines.setdefault(name, line)
            yield from _repeated(value, f"{above}{name}.")


WHOLE = {"experiment", "sources", "architectures", "testsets", "reference", "sizes"}
"""The keys that an experiment must have."""


def is_whole(config: Mapping) -> bool:
    """Return whether `config` holds a whole experiment, so that nothing lies below it."""
    return config.keys() >= WHOLE


KINDS = {"sources": ("metadata", "shards", "files"), "testsets": ("path", "miniweb", "retrieve", "corrupt")}
"""Keys of which an entry has one, by section: what kind of source or test set it is."""


def replace_whole(config: Mapping, layer: object) -> None:
    """Set in `config` to what `layer` has: the shares of mixtures and ensembles, and the kinds of sources and test sets.

    Merged member by member, a mixture would keep the members that a file on top does not name, and a test set with a folder
    would also be fetched.
    """
    for kind in ("mixtures", "ensembles", *KINDS):
        entries = layer.get(kind) if isinstance(layer, Mapping) else None
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            # A mistake in a file further up may have put a single value in the place of the section or the entry.
            section = config.get(kind)
            merged = section.get(name) if isinstance(section, Mapping) else None
            if not (isinstance(entry, Mapping) and isinstance(merged, Mapping)):
                continue
            if isinstance(entry.get("shares"), Mapping):
                merged["shares"] = dict(entry["shares"])
            kinds = set(KINDS.get(kind, ()))
            for own in kinds & entry.keys():
                # A file below may have taken it away for its own.
                merged.setdefault(own, copy.deepcopy(entry[own]))
            for other in kinds - entry.keys() if kinds & entry.keys() else ():
                merged.pop(other, None)


def missing_experiment(config: Mapping) -> str | None:
    """Return the error for an experiment without a file; None if `config` holds the whole experiment."""
    name = config.get("experiment")
    if name is None or "sources" in config:
        return None
    shipped = sorted(file.stem for file in (ROOT / "config").glob("*.yaml") if file.stem != "config")
    return (
        f"experiment: {name}: there is no config/{name}.yaml in {Path.cwd()}, and the workflow ships none."
        f"{did_you_mean(name, shipped)} Write the file, or name one of {', '.join(shipped)}."
    )


def configuration_line(own: Sequence[str], given: Sequence[Path], experiment: str, settings: Mapping) -> str:
    """Return the line that names the configuration files: the workflow's `own` and those `given` on the command line.

    `settings` are the merged keys of the given files and options. They may have the key `experiment`.
    """
    shown = [os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else str(file) for file in given]
    files = list(dict.fromkeys([*own, *shown]))
    if "experiment" in settings:
        return f"Configuration: {' + '.join(files)} (experiment: {experiment})."
    line = f"Configuration: {' + '.join(files)} (experiment: {experiment}, the default)."
    if given:
        line += (
            f" {files[-1]} has no key experiment, so it changes the experiment {experiment}. If it is a whole experiment, "
            "add the key with its name."
        )
    return line
