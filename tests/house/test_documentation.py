"""What the documentation says is so: its commands, paths, rules and outputs exist, and all outputs are documented."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser
from test_layout import LAYERS

from pages import (
    CONTRIBUTING,
    OUTPUTS,
    PAGES,
    README,
    ROOT,
    STAGES,
    blocks,
    commands,
    files_to_write,
    page_id,
    result_paths,
    tables,
    text_of,
)

MADE_BY_SNAKEMAKE = {"results/report.zip", "results/logs/slurm/"}
MODEL = "<pool>-<architecture>-<size>-<seed>"
DIRECTIVE = re.compile(r"^    (\w+):", re.MULTILINE)
PLACEHOLDER = re.compile(r"<\w+>|\{\w+\}")
# No alternative follows its slash at once, so that this file has none of the paths that it looks for.
HOME_OR_WORK = re.compile(r"(?<![\w.*$}>-])/(?:home|root|Users|work)/\w")


@cache
def rules() -> dict[str, dict[str, list[str]]]:
    """For each rule, the paths under results/ in each of its directives."""
    found = {}
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        _, *rest = re.split(r"^(?:use rule \w+ as|rule) (\w+)(?: with)?:\n", text_of(file), flags=re.MULTILINE)
        for name, body in zip(rest[::2], rest[1::2], strict=True):
            _, *directives = DIRECTIVE.split(body)
            found[name] = {
                directive: re.findall(r'"(results/[^"]+)"', content)
                for directive, content in zip(directives[::2], directives[1::2], strict=True)
            }
    return found


def declared_outputs() -> list[str]:
    return [path for directives in rules().values() for path in directives.get("output", [])]


def declared_paths() -> list[str]:
    return [path for directives in rules().values() for paths in directives.values() for path in paths]


def documented_outputs() -> list[str]:
    return [row[0].strip("`") for rows in tables(OUTPUTS).values() for row in rows]


def same_form(documented: str, declared: str) -> bool:
    """Whether the path of a page fits a rule's; placeholders and wildcards stand for one name each."""
    text = PLACEHOLDER.sub("x", documented.replace("<model>", MODEL))
    pattern = "[^/]+".join(re.escape(piece) for piece in PLACEHOLDER.split(declared))
    return re.fullmatch(pattern, text) is not None


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


def test_readme_is_read_in_a_minute():
    assert len(text_of(README).splitlines()) <= 150


def test_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\(([^)#:]+\.md)\)", text_of(README)))
    assert linked == {page_id(page) for page in PAGES} - {"README.md"}


def test_stage_table_is_the_rules():
    stages = {name.strip("`"): product.strip("`") for name, _, product in tables(STAGES)["Rules and products"]}
    assert set(stages) == {name for name, directives in rules().items() if "output" in directives}
    for rule, product in stages.items():
        assert any(same_form(product, path) for path in rules()[rule]["output"]), f"{rule} does not make {product}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != OUTPUTS], ids=page_id)
def test_paths_under_results_are_outputs(page):
    for path in result_paths(page):
        made = path in MADE_BY_SNAKEMAKE or path == "results/" or any(same_form(path, one) for one in declared_paths())
        assert made, f"{path}: no rule makes it"


def test_every_output_is_documented():
    for path in declared_outputs():
        assert any(same_form(line, path) for line in documented_outputs()), f"docs/outputs.md: {path} is missing"


def test_documented_outputs_lie_where_rules_write():
    """Work folders hold more than the declared outputs; tests/workflow compares them with a real run."""
    folders = {path.rpartition("/")[0] for path in declared_paths()}
    for line in set(documented_outputs()) - MADE_BY_SNAKEMAKE:
        parents = [str(parent) for parent in Path(line).parents][:2]
        near = any(same_form(parent, folder) for parent in parents for folder in folders)
        assert near, f"docs/outputs.md: {line} is beside nothing that a rule makes"


def test_logs_are_named_as_documented():
    for rule, directives in rules().items():
        for directive, folder in (("log", "logs"), ("benchmark", "benchmarks")):
            for path in directives.get(directive, []):
                assert path.startswith((f"results/{folder}/{rule}.", f"results/{folder}/{rule}/")), path


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)\)", text_of(page)):
        assert link.startswith("https://") or (page.parent / link).is_file(), f"{link}: there is no such file"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_a_page_names_exist(page):
    for path in re.findall(r"`((?:config|profiles|workflow|envs|tests|docs)/[\w./-]*\w)", text_of(page)):
        assert (ROOT / path).exists() or path in files_to_write(page), f"{path} does not exist"


def test_folders_of_the_layout_exist():
    layout = next(block for block in blocks(CONTRIBUTING, "") if block.startswith("Snakefile"))
    for line in layout.splitlines():
        assert (ROOT / line.split()[0]).exists(), line


def test_layers_of_packages_are_those_that_the_layout_has():
    assert [set(re.findall(r"`(\w+)`", packages)) for _, packages in tables(CONTRIBUTING)["Layout"]] == list(LAYERS)


RECIPES = [
    pytest.param(path.strip("`"), place, id=f"{heading}: {path} {place}")
    for heading, rows in tables(CONTRIBUTING).items()
    if heading.startswith("Add a ")
    for path, place, _ in rows
]


@pytest.mark.parametrize(("path", "place"), RECIPES)
def test_recipes_name_files_and_places_that_exist(path, place):
    if "<" in path:
        assert list(ROOT.glob(PLACEHOLDER.sub("*", path))), f"{path}: there is no file of this form"
    else:
        assert place == "end" or place.strip("`") in text_of(ROOT / path), f"{path}: has no {place}"


def test_catalog_finds_the_workflow():
    assert "snakemake workflow" in text_of(README)
    assert (ROOT / "workflow" / "Snakefile").is_file()
    usage = yaml.safe_load(text_of(ROOT / ".snakemake-workflow-catalog.yml"))["usage"]
    assert usage == {"software-stack-deployment": {"conda": True}, "report": True}


def test_citation_has_what_readers_of_it_need():
    citation = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "type"} <= set(citation)
    assert citation["authors"] == [{"name": "the clip-data-testbed authors"}]
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Nguyen", "Ilharco", "Wortsman", "Oh", "Schmidt"]
    assert paper["identifiers"][0]["value"] == "arXiv:2208.05516"


def test_version_and_licence_agree():
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    citation = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert text_of(ROOT / "LICENSE").startswith("MIT License")


@pytest.mark.parametrize("folder", ["home", "root", "Users", "work"])
def test_absolute_paths_are_recognised(folder):
    assert HOME_OR_WORK.search(f'open("/{folder}/someone/list.csv")')
    assert not HOME_OR_WORK.search(f"results/models/x/{folder}/checkpoints")
    assert not HOME_OR_WORK.search(f"https://example.org/{folder}/page")


def test_no_file_names_a_home_or_work_folder():
    found = []
    for file in repository_files():
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [f"{page_id(file)}:{number}" for number, line in enumerate(lines, 1) if HOME_OR_WORK.search(line)]
    assert found == []


def repository_files() -> list[Path]:
    """Files that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git does not know this folder, so the files of the repository are not known")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
