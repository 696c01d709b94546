"""Hosted test sets: which names an experiment may have, and what is known of those of the paper's."""

import pytest
import yaml

from experiments import ROOT, changed, load
from testbed.evaluation.testsets import expected_counts
from testbed.experiment.errors import ExperimentError

TABLE = ROOT / "resources" / "testsets.csv"


def test_every_set_of_the_papers_experiment_has_its_counts_and_their_origin():
    testsets = yaml.safe_load((ROOT / "config/paper.yaml").read_text())["testsets"]
    known = {entry["retrieve"]: expected_counts(TABLE, entry["retrieve"]) for entry in testsets.values()}
    assert {name: tuple(counts.values()) for name, counts in known.items()} == {
        "imagenet1k": (50_000, 1000),
        "imagenetv2": (10_000, 1000),
        "imagenet-r": (30_000, 200),
        "imagenet_sketch": (50_889, 1000),
        "objectnet": (18_574, 113),
    }


@pytest.mark.parametrize("name", ["imagenet1k", "vtab/cifar10", "imagenet-r"])
def test_names_of_sets_are_accepted(name):
    testsets = load(changed(testsets__new={"retrieve": name})).testsets
    assert testsets["new"] == {"retrieve": name, "task": "classification"}


@pytest.mark.parametrize("name", ["wds/imagenet1k", "", "../x", "image net", "a?b"])
def test_other_names_are_refused(name):
    with pytest.raises(ExperimentError, match="testsets.new.retrieve"):
        load(changed(testsets__new={"retrieve": name}))
