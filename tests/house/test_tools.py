"""The tools that check form: the same versions at a commit as in the environment, the same checks on a public host."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from pages import ROOT, text_of

HOOKS = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"]
JOBS = yaml.safe_load(text_of(ROOT / ".github" / "workflows" / "ci.yml"))["jobs"]
PACKAGES = {"ruff-pre-commit": "ruff"}
"""Packages whose hooks lie in a repository of another name."""


def steps(job: str, key: str) -> list[str]:
    return [step[key] for step in JOBS[job]["steps"] if key in step]


def test_hooks_have_the_locked_versions():
    locked = {
        package["name"]: package.get("version") for package in tomllib.loads(text_of(ROOT / "uv.lock"))["package"]
    }
    names = [hook["repo"].rpartition("/")[2] for hook in HOOKS]
    hooked = {PACKAGES.get(name, name): hook["rev"] for name, hook in zip(names, HOOKS, strict=True)}
    assert hooked == {name: f"v{locked[name]}" for name in ("ruff", "snakefmt", "codespell")}
    assert [hook["id"] for repo in HOOKS for hook in repo["hooks"]] == [
        "ruff-check",
        "ruff-format",
        "snakefmt",
        "codespell",
    ]


def test_spelling_is_right():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("git does not know this folder, so the files of the repository are not known")
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    result = subprocess.run([sys.executable, "-m", "codespell_lib", *files], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_wrong_spelling_is_noticed(tmp_path):
    (tmp_path / "page.md").write_text("The re" + "cieved images.\n")
    result = subprocess.run([sys.executable, "-m", "codespell_lib", tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert "received" in result.stdout


@pytest.mark.parametrize("job", JOBS)
def test_actions_are_pinned_by_major_version(job):
    assert steps(job, "uses")
    for action in steps(job, "uses"):
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action), action


def test_a_public_host_runs_every_tier():
    assert list(JOBS) == ["lint", "quick", "all"]
    checks = [command.removeprefix("uv run --no-sync ") for command in steps("lint", "run")]
    tools = [
        "ruff check",
        "ruff format --check",
        "snakefmt --check Snakefile workflow",
        "codespell",
        "mkdocs build --strict",
    ]
    assert checks[1:] == tools
    assert "uv run pytest -m quick" in steps("quick", "run")
    assert ".ci/run" in steps("all", "run")
