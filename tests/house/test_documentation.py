"""What the documentation says is so: its paths, rules and outputs exist, and all outputs are documented."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from test_layout import LAYERS

from pages import (
    CONTRIBUTING,
    OUTPUTS,
    PAGES,
    README,
    ROOT,
    STAGES,
    blocks,
    files_to_write,
    page_id,
    result_paths,
    tables,
    text_of,
)
from repository import repository_files
from rule_files import PLACEHOLDER, declared_outputs, declared_paths, rules, same_form

MADE_BY_SNAKEMAKE = {"results/report.zip", "results/logs/slurm/"}
# No alternative follows its slash at once, so that this file has none of the paths that it looks for.
HOME_OR_WORK = re.compile(r"(?<![\w.*$}>-])/(?:home|root|Users|work)/\w")


def documented_outputs() -> list[str]:
    return [row[0].strip("`") for rows in tables(OUTPUTS).values() for row in rows]


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
