"""The conda environments and the default environment hold the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux"}


def locked() -> dict[str, str]:
    """The locked version of every package, for the Python of the conda environments."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {
        package["name"]: package.get("version")
        for package in packages
        if any(
            Marker(marker).evaluate(PYTHON) for marker in package.get("resolution-markers", ["python_version > '0'"])
        )
    }


def pins(environment: Path) -> list[str]:
    dependencies = yaml.safe_load(environment.read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def test_there_is_an_environment_per_stage():
    assert {path.stem for path in ENVIRONMENTS} == {"data", "download", "train", "evaluate", "statistics"}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_pin_is_the_locked_version(environment):
    versions = locked()
    assert f"python={PYTHON['python_version']}" in yaml.safe_load(environment.read_text())["dependencies"]
    assert pins(environment)
    for pin in pins(environment):
        match = re.fullmatch(r"([a-z0-9-]+)(\[[a-z]+\])?==(\S+)", pin)
        assert match, f"{environment.name}: {pin} is not pinned exactly"
        assert versions[match[1]] == match[3], f"{environment.name}: {pin}, uv.lock has {versions[match[1]]}"


@pytest.mark.parametrize("rules", sorted((ROOT / "workflow" / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_rules_name_environments_that_exist(rules):
    for name in re.findall(r'"\.\./\.\./envs/(\w+)\.yaml"', rules.read_text()):
        assert (ROOT / "envs" / f"{name}.yaml").is_file()


def test_nothing_of_another_package_is_hidden():
    """A package that is not there for one import may be asked for by another, on another machine or model."""
    sources = [path for path in (ROOT / "workflow").rglob("*") if path.suffix in (".py", ".smk")]
    assert len(sources) > 50
    tricks = re.compile(r"sys\.modules|meta_path|ModuleType|module_from_spec")
    assert [path.name for path in sources if tricks.search(path.read_text())] == []
