"""The experiment: its models, sizes, parts, compositions and test sets follow from its configuration."""

import pytest

from experiments import DEMO, changed, corrupted, load, read, small
from testbed.experiment.experiment import Model


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_the_shipped_experiments_are_valid(name):
    experiment = load(read(name))
    assert experiment.config["experiment"] == name
    assert experiment.config["download"]["retries"] == 2


def test_models_are_all_combinations_in_the_experiments_order():
    experiment = load(small(sizes=[400, 100], seeds=[1, 0], sources__b__sizes=[70]))
    assert experiment.models() == [
        Model(pool, "mini_rn", size, seed)
        for pool, sizes in {"a": [100, 400], "b": [70]}.items()
        for size in sizes
        for seed in (1, 0)
    ]
    assert experiment.models(["b"]) == [Model("b", "mini_rn", 70, 1), Model("b", "mini_rn", 70, 0)]
    assert experiment.models(["b"])[0].name == "b-mini_rn-70-1"


def test_model_names_are_unique():
    names = [model.name for model in load(DEMO).models()]
    assert len(names) == len(set(names)) == 9 * 4


def test_parts_cover_all_samples():
    experiment = load(small(sources__a__samples=1001, shuffle__part_size=500))
    assert experiment.parts("a") == ["00000", "00001", "00002"]
    assert experiment.parts("b") == ["00000", "00001"]


def test_a_nested_mixture_is_made_of_its_members_sources():
    nested = {"m": {"shares": {"a": 1, "b": 1}}, "n": {"shares": {"m": 3, "b": 1}, "sizes": [100, 80]}}
    experiment = load(small(mixtures=nested))
    assert experiment.composition("n", 100) == {"a": 38, "b": 62}
    assert experiment.composition("m", 75) == {"a": 38, "b": 37}
    assert experiment.members("n") == {"m": 0.75, "b": 0.25}
    for size in range(200):
        small_one, larger = (experiment.composition("n", count) for count in (size, size + 1))
        assert all(small_one[source] <= larger[source] for source in ("a", "b"))


def test_needed_is_the_most_that_any_trainset_takes():
    mixture = {"m": {"shares": {"a": 0.9, "b": 0.1}, "sizes": [1000]}}
    experiment = load(small(mixtures=mixture))
    assert experiment.needed("a") == 900
    assert experiment.needed("b") == 100


def test_a_size_may_take_the_very_last_sample():
    assert load(small(sizes=[1000])).needed("a") == 1000


def test_plots_know_the_kind_of_each_pool():
    mixture = {"m": {"shares": {"a": 3, "b": 1}}}
    pools = load(small(mixtures=mixture, statistics__baseline="pool:b")).plotted_pools()
    assert [(pool["name"], pool["kind"]) for pool in pools] == [("a", "source"), ("b", "baseline"), ("m", "mixture")]
    assert [pool["members"] for pool in pools] == [{}, {}, {"a": 0.75, "b": 0.25}]


def test_without_a_baseline_no_pool_is_one():
    experiment = load(small())
    assert experiment.baseline_pool is None
    assert {pool["kind"] for pool in experiment.plotted_pools()} == {"source"}


def test_all_test_sets_but_the_reference_are_shifts():
    assert load(DEMO).shifts == ["mini_v2", "mini_sketch", "mini_rendition", "mini_objectnet"]


def test_a_corrupted_test_set_is_made_of_the_reference_or_of_the_one_that_it_names():
    named = {"testsets__snow": {"corrupt": {"of": "mini_v2", "kind": "snow", "severity": 1}}}
    experiment = load(changed(**corrupted(), **named))
    assert (experiment.original("fog"), experiment.original("snow")) == ("mini_imagenet", "mini_v2")
    assert experiment.shifts[-2:] == ["fog", "snow"]
