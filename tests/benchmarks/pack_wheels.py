"""Download the wheels that benchmark_gpu.py needs on a machine that has PyTorch but not this project's environment.

The machine must have Linux, pip, PyTorch, torchvision, timm, transformers, pandas, pyarrow, scikit-learn and safetensors.
Wheels have the versions of uv.lock.

    uv run --with pip python tests/benchmarks/pack_wheels.py WHEELS
"""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

from tables import ROOT

PACKAGES = (
    "open-clip-torch",
    "ftfy",
    "wcwidth",
    "webdataset",
    "braceexpand",
    "clip-benchmark",
    "requests",
    "torchcodec",
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "any")


def locked_versions() -> dict[str, str]:
    """The version of each of PACKAGES in uv.lock."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return {package["name"]: package["version"] for package in lock["package"] if package["name"] in PACKAGES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--python", default="3.12", help="the machine's version of Python")
    parser.add_argument("--torchcodec", help="the version for the machine's PyTorch, where that is not uv.lock's")
    asked = parser.parse_args()
    versions = locked_versions() | ({"torchcodec": asked.torchcodec} if asked.torchcodec else {})
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={asked.python}"]
    options += [*(f"--platform={platform}" for platform in PLATFORMS), f"--dest={asked.wheels}"]
    packages = [f"{name}=={version}" for name, version in versions.items()]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, *packages], check=True)
    for wheel in sorted(asked.wheels.glob("*.whl")):
        print(wheel.name)


if __name__ == "__main__":
    main()
