"""Filters in the experiment: what fits together, what is refused before any work, and the pools that they are."""

import numpy as np
import pytest

from experiments import changed, load, small
from testbed.experiment.errors import ExperimentError
from testbed.experiment.experiment import Model
from testbed.experiment.pools import partner_of
from testbed.experiment.products import figure_metrics

LIST = [{"kind": "list", "path": "list.txt"}]
METACLIP = {"from": "a", "method": "metaclip", "entries": LIST, "t": 20}
SCORED = {"from": "a", "method": "clip_score", "teacher": {"pool": "b", "size": 100}, "fraction": 0.5}
SQL = {"from": "a", "method": "sql", "where": "similarity > 0.3 AND NSFW = 'UNLIKELY'"}
BASIC = {"from": "a", "method": "basic", "language": "en"}
RANDOM = {"from": "a", "method": "random", "fraction": 0.5}
ALL = {"from": "a", "method": "all"}
REMOVE = {"from": "a", "method": "remove", "where": "caption ILIKE '%sketch%'"}
SUBSET = {"from": "a", "method": "subset", "path": "subset.npy"}
JOINED = ALL | {"columns_from": {"path": "own.csv", "key": "uid"}, "caption": "mine", "share": 0.5}
CONTROL = {"from": "a", "method": "random", "as_many_as": "f"}

DEDUPLICATE = {"from": "a", "method": "deduplicate"}
DECONTAMINATE = {"from": "a", "method": "decontaminate", "against": ["mini_sketch"]}


@pytest.fixture(autouse=True)
def list_of_entries(tmp_path, monkeypatch):
    """The files that filters name, where they are checked."""
    (tmp_path / "list.txt").write_text("dog\n")
    (tmp_path / "own.csv").write_text("uid,mine\n")
    np.save(tmp_path / "subset.npy", np.zeros(1, "u8,u8"))
    monkeypatch.chdir(tmp_path)


def without(entry: dict, *keys: str, **more) -> dict:
    return {key: value for key, value in entry.items() if key not in keys} | more


def filters(**entries) -> dict:
    return small(filters=entries)


METHODS = [METACLIP, SCORED, SQL, BASIC, RANDOM, ALL, REMOVE, SUBSET, DEDUPLICATE, DECONTAMINATE]


@pytest.mark.parametrize("entry", [*METHODS, JOINED], ids=lambda entry: entry["method"])
def test_every_method_makes_a_pool(entry):
    experiment = load(filters(f=entry))
    assert experiment.pools == ["a", "b", "f"]
    assert experiment.composition("f", 70) == {"f": 70}
    assert experiment.root("f") == "a"
    assert [model.name for model in experiment.models(["f"])] == ["f-mini_rn-100-0"]
    assert [(pool["name"], pool["kind"]) for pool in experiment.plotted_pools()][-1] == ("f", "filter")


def test_filters_compose_and_are_mixed():
    chain = {"f": SQL | {"sizes": []}, "g": BASIC | {"from": "f", "sizes": [300]}}
    mixture = {"m": {"shares": {"g": 1, "b": 1}, "sizes": [800]}}
    experiment = load(small(filters=chain, mixtures=mixture))
    assert (experiment.root("g"), experiment.filters["g"]["from"]) == ("a", "f")
    assert experiment.composition("m", 100) == {"g": 50, "b": 50}
    assert experiment.sizes("f") == [] and experiment.models(["f"]) == []
    assert [pool["of"] for pool in experiment.plotted_pools()] == [None, None, None, "a", "a"]
    # A filter keeps no more than there is, so what is taken of it is needed of all before it.
    assert [experiment.needed(pool) for pool in ("g", "f", "a", "b")] == [400, 400, 400, 400]


def test_a_control_has_the_sizes_of_its_filter_and_is_drawn_beside_it():
    entries = {"f": REMOVE | {"sizes": [200, 300]}, "g": CONTROL, "h": CONTROL | {"sizes": [200]}}
    experiment = load(filters(**entries))
    assert [experiment.sizes(pool) for pool in "fgh"] == [[200, 300], [200, 300], [200]]
    assert [experiment.sizes_key(pool) for pool in "fgh"] == ["filters.f.sizes", "filters.f.sizes", "filters.h.sizes"]
    pools = experiment.plotted_pools()
    assert [pool.get("control_of") for pool in pools] == [None, None, None, "f", "f"]
    # The figure of a filter shows its first control, and that of a control its filter.
    assert [partner_of(pool, pools) for pool in pools] == [None, None, "g", "f", "f"]
    assert {name for name in ("f", "g") if any(f"/{name}-" in path for path in figure_metrics(experiment, "f"))} == {
        *("f", "g")
    }


def test_a_teacher_is_a_model_of_the_experiment():
    config = filters(f=SCORED, g=SCORED | {"teacher": {"model": "RN50", "tag": "openai"}})
    experiment = load(config)
    assert experiment.teacher("f") == Model("b", "mini_rn", 100, 0)
    assert experiment.teacher("g") is None
    config["seeds"] = [3]
    assert load(config).teacher("f").seed == 3


def test_a_teacher_computes_in_float32_unless_asked_otherwise():
    public = {"model": "RN50", "tag": "openai"}
    experiment = load(filters(f=SCORED, g=SCORED | {"teacher": public | {"precision": "tf32"}}))
    assert [experiment.filters[name]["teacher"]["precision"] for name in "fg"] == ["fp32", "tf32"]
    assert experiment.device_of_teacher("g") == "cuda"


def test_a_teacher_is_never_the_first_of_several():
    """What a second file adds comes first when Snakemake merges files: the same filter would score by another model."""
    config = filters(f=SCORED)
    config["architectures"] = {"mini_wide": config["architectures"]["mini_rn"]} | config["architectures"]
    with pytest.raises(ExperimentError) as error:
        load(config)
    assert str(error.value) == (
        "filters.f.teacher: has no architecture, and this experiment has several. Add architecture: one of mini_wide, "
        "mini_rn."
    )
    config["filters"]["f"] = SCORED | {"teacher": SCORED["teacher"] | {"architecture": "mini_rn"}}
    assert load(config | {"seeds": [4, 3]}).teacher("f") == Model("b", "mini_rn", 100, 3)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"a": SQL}, ["filters.a: is also the name of a source", "another name"]),
        ({"f": SQL | {"from": "c"}}, ["filters.f.from: c is not a source or a filter", "Name one of: a, b, f"]),
        ({"f": SQL | {"from": "f"}}, ["filters.f: is derived from itself (f -> f)", "Remove one"]),
        (
            {"f": SQL | {"from": "g"}, "g": BASIC | {"from": "f"}},
            ["filters.f: is derived from itself (f -> g -> f)", "Remove one"],
        ),
        (
            {"f": SCORED | {"teacher": {"pool": "f", "size": 100}}},
            ["filters.f: is derived from itself (f -> f)"],
        ),
        ({"f": SQL | {"method": "best"}}, ["filters.f.method: 'best'", "metaclip", "clip_score"]),
        ({"f": without(DECONTAMINATE, "against")}, ["method decontaminate has none of against", "Give it"]),
        (
            {"f": DECONTAMINATE | {"against": ["mini_sketsch"]}},
            [
                "filters.f.against: mini_sketsch is not a test set. Did you mean mini_sketch?",
                "Name one or more of: mini_",
            ],
        ),
        ({"f": DECONTAMINATE | {"against": []}}, ["filters.f.against: []"]),
        ({"f": DECONTAMINATE | {"against": ["mini_sketch"] * 2}}, ["filters.f.against"]),
        ({"f": DECONTAMINATE | {"distance": 13}}, ["filters.f.distance: 13", "maximum"]),
        ({"f": DEDUPLICATE | {"against": ["mini_sketch"]}}, ["against does not belong to method deduplicate"]),
        ({"f": SQL | {"t": 3}}, ["filters.f: t does not belong to method sql", "Its keys are: where"]),
        ({"f": SQL | {"wear": "x"}}, ["filters.f: unknown key wear"]),
        ({"f": METACLIP | {"t": 0}}, ["filters.f.t: 0", "minimum"]),
        ({"f": METACLIP | {"t": -3}}, ["filters.f.t: -3", "minimum"]),
        ({"f": METACLIP | {"t": 2.5}}, ["filters.f.t: 2.5", "integer"]),
        ({"f": METACLIP | {"tail_fraction": 0.1}}, ["metaclip has t and tail_fraction of", "exactly one"]),
        ({"f": without(METACLIP, "t", tail_fraction=1)}, ["filters.f.tail_fraction: 1", "maximum"]),
        ({"f": without(METACLIP, "t")}, ["method metaclip has none of t, tail_fraction"]),
        ({"f": without(METACLIP, "entries")}, ["method metaclip has none of entries", "Give it"]),
        ({"f": METACLIP | {"entries": []}}, ["filters.f.entries: []"]),
        ({"f": METACLIP | {"entries": [{"kind": "list"}]}}, ["filters.f.entries.0: kind list needs a path"]),
        (
            {"f": METACLIP | {"entries": [*LIST, {"kind": "miniweb", "path": "x"}]}},
            ["filters.f.entries.1: kind miniweb needs no path"],
        ),
        ({"f": METACLIP | {"entries": [{"kind": "words"}]}}, ["filters.f.entries.0.kind: 'words'", "wordnet"]),
        ({"f": METACLIP | {"entries": [LIST[0] | {"sha256": "abc"}]}}, ["entries.0.sha256: 'abc'"]),
        ({"f": without(SCORED, "teacher")}, ["method clip_score has none of teacher"]),
        ({"f": SCORED | {"threshold": 0.3}}, ["has threshold and fraction of", "exactly one"]),
        ({"f": SCORED | {"fraction": 0}}, ["filters.f.fraction: 0"]),
        ({"f": SCORED | {"fraction": 1.1}}, ["filters.f.fraction: 1.1"]),
        (
            {"f": SCORED | {"teacher": {"pool": "c", "size": 100}}},
            ["filters.f.teacher.pool: this experiment has no pool c.", "one of: a, b"],
        ),
        (
            {"f": SCORED | {"teacher": {"pool": "b", "size": 99}}},
            ["filters.f.teacher.size: b has no model of size 99, only of 100 (sizes)", "add 99 there"],
        ),
        (
            {"f": SCORED | {"teacher": {"pool": "b", "size": 100, "seed": 7}}},
            ["filters.f.teacher.seed: this experiment has no seed 7", "Name one of: 0"],
        ),
        ({"f": SCORED | {"teacher": {"pool": "b"}}}, ["filters.f.teacher: has pool", "pool, size, architecture"]),
        ({"f": SCORED | {"teacher": {"model": "RN50"}}}, ["filters.f.teacher: has model", "either tag or checkpoint"]),
        (
            {"f": SCORED | {"teacher": {"pool": "b", "size": 100, "tag": "openai"}}},
            ["filters.f.teacher: has pool, size, tag"],
        ),
        (
            {"f": SCORED | {"teacher": {"pool": "b", "size": 100, "precision": "tf32"}}},
            ["filters.f.teacher.precision: tf32 is a precision of GPUs", "Set fp32 or bf16", "device: cuda"],
        ),
        (
            {"f": SCORED | {"teacher": {"model": "RN50", "tag": "openai", "device": "cpu", "precision": "tf32"}}},
            ["filters.f.teacher.precision: tf32 is a precision of GPUs"],
        ),
        (
            {"f": SCORED | {"teacher": {"pool": "b", "size": 100, "precision": "fp16"}}},
            ["filters.f.teacher.precision: 'fp16'", "tf32", "bf16"],
        ),
        ({"f": SQL | {"where": "similarity >"}}, ["filters.f.where: 'similarity >'", "syntax error"]),
        ({"f": SQL | {"where": "a > 1; DROP TABLE samples"}}, ["filters.f.where", 'syntax error at or near ";"']),
        ({"f": BASIC | {"language": "xx"}}, ["filters.f.language: xx is not one of the", "such as en"]),
        ({"f": without(BASIC, "language")}, ["filters.f: has no condition", "minimum_side"]),
        (
            {"f": BASIC | {"minimum_words": 9, "maximum_words": 3}},
            ["filters.f.minimum_words: 9 is above maximum_words, 3"],
        ),
        ({"f": BASIC | {"maximum_aspect_ratio": 0.5}}, ["filters.f.maximum_aspect_ratio: 0.5"]),
        ({"f": CONTROL}, ["filters.f: is derived from itself (f -> f)"]),
        ({"f": SQL, "g": CONTROL | {"fraction": 0.5}}, ["method random has fraction and as_many_as of"]),
        ({"g": CONTROL}, ["filters.g.as_many_as: f is not a filter of this experiment.", "Name one of: g"]),
        (
            {"f": SQL, "g": CONTROL | {"from": "b"}},
            ["filters.g.as_many_as: f is not filtered from b", "Set filters.g.from to a"],
        ),
        ({"f": without(REMOVE, "where")}, ["method remove has none of where"]),
        ({"f": REMOVE | {"where": "x >"}}, ["filters.f.where: 'x >'", "syntax error"]),
        ({"f": without(SUBSET, "path")}, ["method subset has none of path"]),
        ({"f": SQL | {"path": "subset.npy"}}, ["path does not belong to method sql"]),
        (
            {"f": METACLIP | {"caption": "mine"}},
            ["caption does not belong to method metaclip", "Add a filter of method all", "filters.f.from"],
        ),
        ({"f": ALL | {"share": 0.5}}, ["filters.f.share", "there is no caption", "Add caption"]),
        ({"f": ALL | {"caption": "Caption"}}, ["filters.f.caption: Caption is the column that is replaced"]),
        ({"f": JOINED | {"share": 0}}, ["filters.f.share: 0"]),
        ({"f": JOINED | {"columns_from": {"path": "own.csv", "key": "id"}}}, ["columns_from.key: 'id'", "source_uid"]),
        ({"f": JOINED | {"columns_from": {"path": "own.csv"}}}, ["filters.f.columns_from: 'key' is a required"]),
        ({"f": SQL | {"sizes": [1001]}}, ["1001 samples of f need 1001 of source a", "only 1000"]),
    ],
)
def test_a_mistake_is_named_with_its_value_and_the_way_out(entries, words):
    with pytest.raises(ExperimentError) as error:
        load(filters(**entries))
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


def test_a_filter_upon_a_mixture_is_refused_with_the_way_out():
    mixture = {"m": {"shares": {"a": 1, "b": 1}}}
    with pytest.raises(ExperimentError, match="filters.f.from: m is a mixture. Filter its members"):
        load(small(filters={"f": SQL | {"from": "m"}}, mixtures=mixture))
    with pytest.raises(ExperimentError, match="filters.m: is also the name of a mixture"):
        load(small(filters={"m": SQL}, mixtures=mixture))


def test_a_circle_through_a_mixture_is_found():
    mixture = {"m": {"shares": {"f": 1, "b": 1}}}
    entry = SCORED | {"teacher": {"pool": "m", "size": 100}}
    with pytest.raises(ExperimentError, match=r"filters.f: is derived from itself \(f -> m -> f\)"):
        load(small(filters={"f": entry}, mixtures=mixture))


def test_filters_of_the_demo_are_refused_with_the_demos_own_names():
    with pytest.raises(ExperimentError, match="filters.f.from: mini_yffc is not a source"):
        load(changed(filters={"f": SQL | {"from": "mini_yffc"}}))


def test_pools_say_which_near_duplicates_they_lack_and_what_is_their_control():
    apart = DECONTAMINATE | {"against": ["mini_imagenet", "mini_sketch", "mini_v2"]}
    pools = load(filters(f=apart, g=CONTROL)).plotted_pools()
    assert {pool["name"]: pool["against"] for pool in pools if "against" in pool} == {"f": ["mini_v2", "mini_sketch"]}
    assert {pool["name"]: pool["control_of"] for pool in pools if "control_of" in pool} == {"g": "f"}
