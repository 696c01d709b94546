"""The tiers of tests, which tests/conftest.py makes: each test is quick or slow, and none is in both."""

import subprocess
import sys

import pytest

from experiments import ROOT

PATHS = ["tests/faults/test_kill.py", "tests/lists/test_pairs.py", "tests/records/test_warm_worker.py"]


def collected(*arguments: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return {line for line in result.stdout.splitlines() if "::" in line}


@pytest.mark.slow
def test_each_test_is_quick_or_slow():
    quick, slow = (collected("-m", tier, *PATHS) for tier in ("quick", "slow"))
    assert quick | slow == collected(*PATHS) and not quick & slow
    assert {test.split("::")[0] for test in quick} == set(PATHS[1:])
    # Tests that run the workflow are slow, whether they say so or not; of those of packages a few say so.
    assert {test.split("::")[0] for test in slow} == {PATHS[0], PATHS[2]}


@pytest.mark.slow
def test_tests_of_a_group_run_in_one_process(tmp_path):
    """Also where they lie in several files: pytest-xdist does not do so with every version of pytest."""
    for number in range(4):
        (tmp_path / f"test_{number}.py").write_text(
            "import pytest\n\n\n@pytest.mark.xdist_group('one')\ndef test_it(worker_id):\n"
            f"    open({str(tmp_path / 'workers')!r}, 'a').write(worker_id + '\\n')\n"
        )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "/dev/null",
        "--rootdir",
        tmp_path,
        "-n",
        "2",
        "--dist",
        "loadgroup",
    ]
    subprocess.run([*command, tmp_path], check=True, capture_output=True)
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == 4 and len(set(workers)) == 1
