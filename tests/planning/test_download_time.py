"""The plan says how many days the rate limit of one host makes the downloads of a source take."""

from pathlib import Path

from experiments import ROOT, load, read
from plan import download_lines
from testbed.lists.sources import released_sources
from testbed.planning.costs import expectations
from testbed.records.manifest import write_json

SOURCES = ROOT / "resources" / "sources.csv"


def test_the_rate_limit_of_one_host_bounds_the_time_of_downloads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, known = read("paper"), released_sources(SOURCES)
    experiment = load(config)
    lines = download_lines(experiment, expectations(experiment, known, {}), known)
    # Hosts of the other lists are many, or not known.
    assert [line.split()[2] for line in lines] == ["redcaps", "wit", "shutterstock"]
    # 6,000,000 URLs at 10 requests a second, and 15,001,000 at 50.
    assert (
        "wit take 6.9 days or more" in lines[1] and "upload.wikimedia.org, which gets at most 10 requests" in lines[1]
    )
    assert (
        "shutterstock take 3.5 days or more" in lines[2] and "image.shutterstock.com, which gets at most 50" in lines[2]
    )
    parts = experiment.parts("wit")
    for part in parts[: len(parts) // 2]:
        write_json(Path(f"results/downloads/wit/{part}/manifest.json"), {})
    for part in experiment.parts("redcaps"):
        write_json(Path(f"results/downloads/redcaps/{part}/manifest.json"), {})
    half = download_lines(experiment, expectations(experiment, known, {}), known)
    assert [line.split()[2:5] for line in half] == [["wit", "take", "3.5"], ["shutterstock", "take", "3.5"]]
    config["download"] |= {"requests_per_second": 0, "hosts": {"wikimedia.org": 100}}
    experiment = load(config)
    assert download_lines(experiment, expectations(experiment, known, {}), known) == []
