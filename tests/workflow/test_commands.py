"""The commands of the README and the cluster profile, as far as they go without running anything; and the code's form."""

import os
import subprocess
import sys

import pytest

from processes import cpu_seconds
from runs import ROOT, run_snakemake


def dry_run(folder, *arguments):
    return run_snakemake(folder, *arguments, "-n").stdout


def dry_run_with_gaps(folder, *arguments):
    """The output of a dry run of what could not start; it fails."""
    result = run_snakemake(folder, *arguments, "-n", check=False)
    assert result.returncode == 1
    return result.stdout


def jobs_of(output: str) -> dict[str, int]:
    """Rule and number of jobs from the table that a dry run begins with."""
    table = output.split("Job stats:")[1].split("total")[0].splitlines()
    rows = [line.split() for line in table]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_the_default_is_the_whole_demo(workflow_copy):
    jobs = jobs_of(dry_run(workflow_copy))
    assert jobs["train_clip"] == jobs["evaluate_clip"] == 9 * 4 + 2 * 3
    assert jobs["evaluate_ensemble"] == 4
    assert jobs["plot_mixture"] == 2
    assert jobs["plot_effective_robustness"] == 1


def test_no_job_fills_the_screen_with_names_of_files(workflow_copy):
    output = dry_run(workflow_copy)
    assert "Job 0: All results of the experiment" in output
    told = [line for line in output.splitlines() if line.startswith("Reason: ")]
    assert any(line.endswith(", ...") for line in told)
    assert max(map(len, told)) < 500


def test_a_mixtures_plot_needs_its_members_and_the_baseline_alone(workflow_copy):
    jobs = jobs_of(dry_run(workflow_copy, "results/plots/mixtures/mini_yfcc_laion.pdf"))
    assert jobs["train_clip"] == 4 * 4
    assert jobs["shard_samples"] == 3


def test_a_misspelt_target_is_named_with_the_one_that_was_meant(workflow_copy):
    for target, meant in (
        ("results/plots/mixtures/mini_yfcc_laio.pdf", "results/plots/mixtures/mini_yfcc_laion.pdf"),
        ("plann", "plan"),
    ):
        output = dry_run_with_gaps(workflow_copy, target, "results/tables/trends.csv")
        assert f"{target}: no rule makes this target. Did you mean {meant}?" in output
        assert "MissingRuleException" not in output and "trends.csv" not in output
    # Another way to write a path.
    assert jobs_of(dry_run(workflow_copy, "./results/tables/../tables/trends.csv"))["fit_trends"] == 1


def test_the_paper_parses_without_data_within_ten_seconds(workflow_copy):
    started = cpu_seconds()
    output = dry_run_with_gaps(workflow_copy, "--configfile", "config/paper.yaml")
    assert cpu_seconds() - started < 10
    jobs = jobs_of(output)
    assert jobs["prepare_metadata"] == 6
    assert jobs["train_clip"] > 30
    # All that is missing comes together, behind the plan, and nothing comes after it.
    plan, end = output.split("This was a dry-run")
    missing = [line.removeprefix("Error: ").split(":")[0] for line in end.strip().splitlines()[1:]]
    assert missing == [
        *[f"sources.{name}.metadata" for name in ("yfcc", "laion")],
        "download.contact",
        "sources.shutterstock.metadata",
        "filters.redcaps_balanced.entries.0.path",
        "Configuration",
    ]
    assert "there is no such file" not in plan


def test_a_quiet_dry_run_fails_as_well(workflow_copy):
    output = dry_run_with_gaps(
        workflow_copy, "results/shards/laion/manifest.json", "-q", "--config", "experiment=paper"
    )
    assert output.splitlines()[-1] == "Configuration: config/config.yaml + config/paper.yaml (experiment: paper)."
    assert "sources.laion.metadata: data/lists/laion/*.parquet" in output and "sources.yfcc" not in output


def test_who_only_looks_needs_no_files(workflow_copy):
    output = run_snakemake(workflow_copy, "plan", "status", "--configfile", "config/paper.yaml").stdout
    # The plan tells of them.
    missing = [line for line in output.splitlines() if "there is no such file" in line]
    assert len(missing) == 3 and all(line.startswith("Missing for a start: ") for line in missing)


def test_the_slurm_profile_is_found_and_runs_the_paper(workflow_copy):
    output = dry_run_with_gaps(workflow_copy, "--profile", "slurm", "all")
    assert jobs_of(output)["prepare_metadata"] == 6


def test_an_experiment_is_picked_by_name(workflow_copy):
    assert jobs_of(dry_run_with_gaps(workflow_copy, "--config", "experiment=paper"))["prepare_metadata"] == 6


def test_a_file_on_top_replaces_the_members_of_a_mixture(workflow_copy):
    (workflow_copy / "mine.yaml").write_text("mixtures: {mini_yfcc_laion: {shares: {mini_yfcc: 1, mini_wit: 3}}}\n")
    target = "results/trainsets/mini_yfcc_laion/512/manifest.json"
    for files in (["mine.yaml"], ["config/demo.yaml", "mine.yaml"]):
        output = run_snakemake(workflow_copy, "-n", target, "--configfile", *files).stdout
        assert "results/shards/mini_wit/" in output and "mini_laion" not in output


def test_a_whole_experiment_stands_alone_under_the_name_of_another(workflow_copy):
    text = (workflow_copy / "config/demo.yaml").read_text()
    start, end = text.index("# The same shares of separately"), text.index("filters:")
    (workflow_copy / "mine.yaml").write_text(text[:start] + text[end:])
    output = run_snakemake(workflow_copy, "-n", "--configfile", "mine.yaml").stdout
    assert "link_trainset" in output and "evaluate_ensemble" not in output


def test_seeds_are_a_list_away(workflow_copy):
    (workflow_copy / "more_seeds.yaml").write_text("seeds: [0, 1, 2]\n")
    jobs = jobs_of(dry_run(workflow_copy, "--configfile", "more_seeds.yaml"))
    assert jobs["train_clip"] == 3 * (9 * 4 + 2 * 3)
    assert jobs["link_trainset"] == 9 * 4 + 2 * 3


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["snakemake", "--lint"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_code_is_in_form(command):
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
