"""The layout of the code: packages in layers, imports that go down only, files of a size that a reader can hold."""

import ast
import graphlib
from itertools import chain
from pathlib import Path

import pytest

from experiments import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"
TESTBED = SCRIPTS / "testbed"
LAYERS = (
    {"records"},
    {"experiment", "miniweb"},
    # Which URLs of a list are valid depends on the addresses that may be asked.
    {"web"},
    {"lists", "shards", "models"},
    {"filtering", "training", "evaluation", "theory", "local"},
    {"statistics"},
    {"figures"},
    {"cards", "explorer", "planning"},
)
"""Packages from the ground up; one imports only from the layers before its own."""

LEVELS = {package: level for level, layer in enumerate(LAYERS) for package in layer}
MODULES = {".".join(path.relative_to(SCRIPTS).with_suffix("").parts): path for path in TESTBED.rglob("*.py")}
SCRIPT_NAMES = {path.stem for path in SCRIPTS.glob("*.py")}


def imported(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it; `from package import module` counts as the module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in members if name in MODULES} or {node.module}
    return found


IMPORTS = {module: imported(path) for module, path in MODULES.items()}


def package_of(module: str) -> str:
    return module.split(".")[1]


def test_every_module_is_in_a_package_of_a_layer():
    assert [path.name for path in TESTBED.glob("*.py")] == ["__init__.py"]
    assert {path.name for path in TESTBED.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(LEVELS)
    for package in LEVELS:
        assert (TESTBED / package / "__init__.py").is_file(), package


def test_imports_go_down_only():
    """Also between packages of one layer there are none: what two of them need belongs below."""
    for module, names in IMPORTS.items():
        for name in names & set(MODULES) - {"testbed"}:
            below, own = package_of(name), package_of(module) if "." in module else None
            assert own == below or LEVELS[below] < LEVELS[own], f"{module} imports {name}"


def test_no_module_imports_itself_by_way_of_others():
    ours = {module: names & set(MODULES) for module, names in IMPORTS.items()}
    assert sum(map(len, ours.values())) > 100
    list(graphlib.TopologicalSorter(ours).static_order())


def test_packages_import_no_script():
    for module, names in IMPORTS.items():
        assert not names & SCRIPT_NAMES, module


@pytest.mark.parametrize("folder", [SCRIPTS, ROOT / "workflow" / "rules", ROOT / "tests"], ids=str)
def test_no_file_is_longer_than_300_lines(folder):
    paths = chain(folder.rglob("*.py"), folder.rglob("*.smk"))
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > 300} == {}
