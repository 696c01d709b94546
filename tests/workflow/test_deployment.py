"""Ways to run the workflow without working in its folder: as a module, with --directory, with -s, and from a Git host."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from test_commands import jobs_of

from runs import TINY, copy_workflow, run_snakemake

MODULE = """
configfile: "config/config.yaml"


module testbed:
    snakefile:
        {snakefile}
    config:
        config


use rule * from testbed
"""
SMALL = yaml.safe_load(TINY.read_text(encoding="utf-8")) | {
    "sources": {name: {"metadata": {"miniweb": name[5:]}, "samples": 160} for name in ("mini_yfcc", "mini_imagenet")},
    "mixtures": {},
    "ensembles": {},
    "sizes": [100],
    "testsets": {name: {"miniweb": name[5:]} for name in ("mini_imagenet", "mini_v2")},
    "similarity": {},
}
"""The tiny experiment with two sources, one size and two test sets."""
DECODED = "results/decoded/mini_v2-mini_rn/manifest.json"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the workflow, which also ships the tiny experiment."""
    folder = copy_workflow(tmp_path / "clone")
    shutil.copy(TINY, folder / "config" / "tiny.yaml")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def deploy(folder: Path, snakefile: str, config: dict, experiment: dict | None = None) -> None:
    """Write what a user has who runs the workflow as a module: a Snakefile and config/."""
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    if experiment:
        (folder / "config" / f"{config['experiment']}.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))


def quoted(path: Path) -> str:
    return f'"{path}"'


def test_a_module_runs_to_a_figure_and_its_results_know_no_place(clone, elsewhere):
    deploy(elsewhere, quoted(clone / "workflow" / "Snakefile"), {"experiment": "small"}, SMALL)
    products = ("results/plots/effective_robustness.pdf", "results/provenance.csv")
    run_snakemake(elsewhere, *products, "--cores", "2")
    assert all((elsewhere / product).is_file() for product in products)
    # The run had the kernel's lock of its folder.
    assert (elsewhere / ".snakemake/.lock").is_file()
    assert not (elsewhere / "resources").exists() and not (clone / "results").exists()
    for path in (elsewhere / "results").rglob("*.json"):
        assert str(clone) not in path.read_text(encoding="utf-8"), path

    # Nothing is made again for another clone, nor for another way to run it.
    moved = clone.rename(clone.with_name("moved"))
    assert "Nothing to be done" in run_snakemake(moved, *products, "--directory", elsewhere, "-n").stdout
    (elsewhere / "Snakefile").write_text(MODULE.format(snakefile=quoted(moved / "workflow" / "Snakefile")))
    assert "Nothing to be done" in run_snakemake(elsewhere, *products, "-n", "--cores", "2").stdout


def test_another_directory_needs_nothing_of_the_workflows(clone, elsewhere):
    run_snakemake(clone, DECODED, "--directory", elsewhere, "--config", "experiment=tiny")
    assert (elsewhere / DECODED).is_file() and not (clone / "results").exists()
    # An experiment that is not shipped, and resources/sources.csv.
    (elsewhere / "config").mkdir()
    (elsewhere / "config" / "small.yaml").write_text(yaml.safe_dump(SMALL))
    plan = run_snakemake(clone, "plan", "--directory", elsewhere, "--config", "experiment=small").stdout
    assert re.search(r"decode_testset +2 +1 ", plan), plan


def test_another_working_directory_needs_nothing_of_the_workflows(clone, elsewhere):
    snakefile = clone / "workflow" / "Snakefile"
    run_snakemake(elsewhere, DECODED, "-s", snakefile, "--cores", "2", "--config", "experiment=tiny")
    assert (elsewhere / DECODED).is_file() and not (clone / "results").exists()
    # Beside the Snakefile of the clone lies its profile, which says how many cores.
    assert jobs_of(run_snakemake(elsewhere, "-n", "-s", clone / "Snakefile").stdout)["train_clip"] == 42


def test_a_module_is_taken_from_a_git_host_with_all_that_its_jobs_need(clone, elsewhere, tmp_path, monkeypatch):
    """Snakemake has fetched the repository already, into its cache; the jobs run what is checked out of that."""
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@site.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run(["git", "-C", clone, *command], check=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = tmp_path / "cache/snakemake/snakemake/source-cache"
    fetched = cache / "snakemake-git-cache/github.com/someone/clip-data-testbed"
    subprocess.run(["git", "clone", "-q", "--bare", clone, fetched], check=True)
    shutil.rmtree(clone)
    source = 'github("someone/clip-data-testbed", path="workflow/Snakefile", tag="v1")'
    deploy(elsewhere, source, {"experiment": "tiny"})
    # The module's configuration need not be that of the Snakefile.
    text = (elsewhere / "Snakefile").read_text()
    (elsewhere / "Snakefile").write_text(text.replace("        config\n", "        dict(config)\n"))
    run_snakemake(elsewhere, DECODED, "--cores", "2")
    assert (elsewhere / DECODED).is_file()
    (checkout,) = (cache / "clip-data-testbed").iterdir()
    revision = subprocess.run(["git", "-C", checkout, "rev-parse", "v1"], capture_output=True, text=True, check=True)
    assert checkout.name == revision.stdout.strip()


def test_what_a_user_sets_lies_on_top_of_the_experiment(clone, elsewhere):
    deploy(elsewhere, quoted(clone / "workflow" / "Snakefile"), {"experiment": "tiny", "seeds": [0, 1]})
    planned = run_snakemake(elsewhere, "-n", "--cores", "2").stdout
    assert jobs_of(planned)["train_clip"] == 4 * 2 * 2
    (elsewhere / "more.yaml").write_text("seeds: [0, 1, 2]\n")
    planned = run_snakemake(elsewhere, "-n", "--cores", "2", "--configfile", "more.yaml").stdout
    assert jobs_of(planned)["train_clip"] == 4 * 2 * 3


def test_an_experiment_that_is_nowhere_is_named(clone, elsewhere):
    deploy(elsewhere, quoted(clone / "workflow" / "Snakefile"), {"experiment": "tini"})
    result = run_snakemake(elsewhere, "-n", "--cores", "2", check=False)
    assert result.returncode == 1
    assert (
        f"experiment: tini: there is no config/tini.yaml in {elsewhere}, and the workflow ships none." in result.stdout
    )
    assert "Did you mean tiny? Write the file, or name one of demo, paper, paper_small, tiny." in result.stdout


def test_a_module_with_gaps_stops_before_any_work_and_calls_the_users_handlers(clone, elsewhere):
    lists = {"mine": {"metadata": {"path": "gone.csv", "format": "csv"}, "samples": 300}}
    experiment = SMALL | {"sources": SMALL["sources"] | lists}
    deploy(elsewhere, quoted(clone / "workflow" / "Snakefile"), {"experiment": "small"}, experiment)
    with (elsewhere / "Snakefile").open("a") as snakefile:
        # Each further statement reads the module again.
        snakefile.write(
            "\n\nuse rule simulate_theory from testbed with:\n    message:\n        'A message of my own'\n"
            "\n\nonstart:\n    print('a handler of my own')\n"
        )
    for arguments in (["-n"], []):
        result = run_snakemake(elsewhere, "--cores", "2", *arguments, check=False)
        assert result.returncode == 1, result.stdout
        assert result.stdout.count("sources.mine.metadata: gone.csv: there is no such file") == 1
        assert not (elsewhere / "results").exists()
    output = run_snakemake(elsewhere, "results/tables/theory.csv", "--cores", "2").stdout
    assert "A message of my own" in output and output.count("a handler of my own") == 1


def test_files_that_the_papers_experiments_name_are_found_from_elsewhere(clone, elsewhere):
    """Classes, entries, and tables of what is fetched; a dry run fails where one is missing."""
    files = [clone / "config" / name for name in ("paper.yaml", "paper_small.yaml")]
    run_snakemake(elsewhere, "-n", "-s", clone / "Snakefile", "--configfile", *files)
    manifest = "results/entries/redcaps_balanced/manifest.json"
    run_snakemake(elsewhere, manifest, "-s", clone / "Snakefile", "--configfile", *files)
    (source,) = json.loads((elsewhere / manifest).read_text())["made_from"]
    assert source["path"] == "resources/paper_small/metadata.json"
