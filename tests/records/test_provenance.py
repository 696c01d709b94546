"""What a record says of code and machine: with and without git, with and without what may be missing."""

import subprocess

import pytest

from testbed.records.files import sha256
from testbed.records.provenance import code_revision, cpu_name, gpu_names, made_from, run_environment, versions_of


def git(folder, *arguments):
    options = ["-c", "user.name=me", "-c", "user.email=me@a.test", "-c", "init.defaultBranch=main"]
    command = ["git", *options, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A file in a folder that no git above speaks for."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    file = tmp_path / "clone" / "scripts" / "script.py"
    file.parent.mkdir(parents=True)
    file.write_text("print(1)\n")
    return file


def test_code_without_git_has_no_revision(code, monkeypatch):
    assert code_revision(code) == {"revision": None, "changed": None}
    git(code.parent, "init")
    git(code.parent, "add", ".")
    git(code.parent, "commit", "-m", "first")
    monkeypatch.setenv("PATH", str(code.parent))
    assert code_revision(code) == {"revision": None, "changed": None}


def test_code_in_git_has_its_revision_and_whether_it_was_changed(code):
    clone = code.parents[1]
    git(clone, "init")
    git(clone, "add", ".")
    git(clone, "commit", "-m", "first")
    revision = git(clone, "rev-parse", "HEAD")
    (clone / "results").write_text("of nobody's concern")
    assert code_revision(code) == {"revision": revision, "changed": False}
    code.write_text("print(2)\n")
    assert code_revision(code) == {"revision": revision, "changed": True}


def test_a_copy_inside_of_another_repository_does_not_take_its_revision(code):
    clone = code.parents[1]
    (clone / "thesis.tex").write_text("text")
    git(clone, "init")
    git(clone, "add", "thesis.tex")
    git(clone, "commit", "-m", "first")
    assert code_revision(code) == {"revision": None, "changed": None}


def test_packages_that_are_not_installed_are_left_out():
    assert list(versions_of(["numpy", "no-such-package"])) == ["python", "numpy"]


def test_processors_have_their_model_or_at_least_an_architecture(tmp_path):
    information = tmp_path / "cpuinfo"
    information.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nprocessor\t: 1\nmodel name\t: Some CPU\n")
    assert cpu_name(information) == "Some CPU @ 2 GHz"
    assert cpu_name(tmp_path / "none")


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A stand-in for the driver's command, which answers for the GPUs that it is asked for."""
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\necho "Big GPU"\ncase "$*" in *--id=3*) ;; *) echo "Big GPU" ;; esac\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/bin:/usr/bin")


def test_gpus_are_those_that_a_job_may_use(nvidia_smi, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_names() == ["Big GPU", "Big GPU"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpu_names() == ["Big GPU"]
    assert run_environment("cuda", [])["hardware"]["gpus"] == ["Big GPU"]
    assert run_environment("cpu", [])["hardware"]["gpus"] == []


def test_without_a_driver_there_are_no_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_names() == []


def test_files_are_recorded_by_path_size_and_hash(tmp_path):
    file = tmp_path / "manifest.json"
    file.write_text("{}")
    assert made_from(file) == [{"path": str(file), "bytes": 2, "sha256": sha256(file)}]
