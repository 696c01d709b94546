"""The commands of the documentation: what they name exists, and targets stand where Snakemake takes them for targets."""

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from pages import PAGES, README, ROOT, blocks, commands, files_to_write, page_id, text_of
from repository import repository_files
from rule_files import declared_outputs, rules, same_form


def is_target(name: str) -> bool:
    return name in {"all", *rules()} or any(same_form(name, path) for path in declared_outputs())


def check_command(command: str, page: Path) -> None:
    """Fail unless Snakemake knows the command's options, and its targets, profiles and experiments exist."""
    arguments = shlex.split(command)[3:]
    while "--profile" in arguments:
        # Snakemake's parser would read the profile from the working directory.
        place = arguments.index("--profile")
        assert (ROOT / arguments[place + 1] / "config.yaml").is_file(), f"{command}: there is no such profile"
        del arguments[place : place + 2]
    asked = get_argument_parser().parse_args(arguments)
    for file in map(str, asked.configfile or []):
        assert (ROOT / file).is_file() or file in files_to_write(page), f"{command}: there is no {file}"
    for setting in asked.config or []:
        name = setting.removeprefix("experiment=")
        assert "<" in name or (ROOT / "config" / f"{name}.yaml").is_file(), f"{command}: there is no such experiment"
    for target in [*asked.targets, *asked.forcerun]:
        assert is_target(target), f"{command}: {target} is no target"


def check_python(code: str) -> None:
    """Fail unless `code` calls what open_clip has, with a model, and weights if any, that it knows."""
    import open_clip

    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert calls
    for call in calls:
        assert call.func.value.id == "open_clip" and hasattr(open_clip, call.func.attr), code
        model, *weights = (value.value for value in [*call.args, *(keyword.value for keyword in call.keywords)])
        assert open_clip.get_model_config(model), code
        assert set(weights) <= set(open_clip.list_pretrained_tags_by_model(model)), code


def check_tool(command: str) -> None:
    """Fail unless the program of the command is installed, and the files and folders that it names exist."""
    program, *arguments = shlex.split(re.sub(r"^uv run (--with \w+ )?", "", command))
    assert (Path(sys.executable).parent / program).is_file(), f"{command}: {program} is not in the environment"
    for path in [word for word in arguments if "/" in word]:
        assert (ROOT / path).exists(), f"{command}: there is no {path}"


def check(command: str, page: Path) -> None:
    """Fail unless the command of a page does what it can do without running."""
    if command.startswith("uv run python -c "):
        check_python(shlex.split(command)[4])
    elif command.startswith("uv run snakemake"):
        check_command(command, page)
    else:
        check_tool(command)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_name_what_exists(page):
    for command in commands(page):
        check(command, page)


def test_pages_give_commands():
    with_commands = {page_id(page) for page in PAGES if commands(page)}
    assert {"README.md", "CONTRIBUTING.md", "config/README.md", "docs/commands.md", "docs/outputs.md"} <= with_commands
    assert {"docs/slurm.md", "docs/benchmarks.md"} <= with_commands


@pytest.mark.parametrize(
    "command",
    [
        "uv run snakemake --forcrun train_clip",
        "uv run snakemake results/plots/effective_robustnes.pdf",
        "uv run snakemake --configfile config/paper.yaml plan",
        "uv run snakemake --profile profiles/none all",
        "uv run snakemake --config experiment=none",
        "uv run pytest tests/no_such_folder",
        "uv run python tests/benchmarks/benchmark_none.py",
        "uv run no_such_program",
    ],
)
def test_wrong_commands_are_noticed(command):
    with pytest.raises((AssertionError, SystemExit)):
        check(command, README)


VALUES = {
    "--configfile": re.compile(r".+\.(yaml|yml|json)|<file>"),
    "--config": re.compile(r".+=.+"),
    "--forcerun": re.compile(r"\w+"),
}
"""Options that take every word behind them, and what such words look like; a target would be taken for one."""


def misplaced(text: str) -> list[str]:
    """The commands in `text` in which a target stands behind an option that takes it for a value."""
    found = []
    for command in re.findall(r"snakemake [^`\n#\"']*", text):
        option = ""
        for word in command.split():
            if word.startswith("-"):
                option = word
            elif option in VALUES and not VALUES[option].fullmatch(word.rstrip(".,;:")):
                found.append(command)
    return found


@pytest.mark.parametrize(
    "command",
    [
        "snakemake --configfile x.yaml plan",
        "snakemake -n --configfile x.yaml y.yaml results/claims.csv -q",
        "snakemake --config experiment=paper results/claims.csv",
        "snakemake --forcerun train_clip results/plots/mixtures/x.pdf",
    ],
)
def test_misplaced_targets_are_noticed(command):
    assert misplaced(f"Run `uv run {command}` for it.")
    targets_first = "snakemake plan results/a.csv --configfile x.yaml y.yaml --forcerun train_clip -n --config seed=1"
    assert not misplaced(targets_first)


def test_targets_stand_before_options_everywhere():
    shown = [file for file in repository_files() if file.suffix in (".md", ".yaml", ".py", ".smk", ".rst")]
    found = {page_id(file): misplaced(text_of(file)) for file in shown if "tests" not in file.parts}
    assert len(found) > 100
    assert {page: commands for page, commands in found.items() if commands} == {}


def test_quick_start_is_two_commands():
    assert blocks(README, "bash")[0].splitlines() == ["uv run snakemake", "uv run pytest"]
