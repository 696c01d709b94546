"""Files that the workflow ships are found from any working directory, and recorded by their relative path."""

import pytest

from testbed.records.provenance import made_from
from testbed.records.shipped import ROOT, shipped, shipped_name

TABLE = "resources/tables.csv"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", [TABLE, "resources/architectures/mini_rn", "config/demo.yaml"])
def test_what_is_not_in_the_working_directory_is_the_workflows(path):
    assert shipped(path) == str(ROOT / path)
    assert shipped_name(shipped(path)) == path


def test_a_users_own_file_comes_first(tmp_path):
    (tmp_path / "resources").mkdir()
    (tmp_path / TABLE).touch()
    assert shipped(TABLE) == TABLE


@pytest.mark.parametrize(
    "path", ["RN50", "resources/gone.csv", "workflow/Snakefile", "README.md", "/gone", "../config"]
)
def test_nothing_else_of_the_workflows_folder_is_taken(path):
    """A user's data/ or results/ in a clone is not what a run elsewhere means."""
    assert shipped(path) == path and shipped_name(path) == path


def test_records_name_no_place_of_the_workflow(tmp_path):
    own = tmp_path / "own.csv"
    own.touch()
    assert [entry["path"] for entry in made_from(shipped(TABLE), own)] == [TABLE, str(own)]
