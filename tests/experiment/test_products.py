"""Where products lie, and which of them others are made from."""

import pytest

from experiments import changed, load, read
from testbed.experiment import products
from testbed.experiment.products import (
    compared_prefixes,
    compared_trainsets,
    curves_of,
    figure_metrics,
    filters_by,
    is_mini,
    metadata_of,
    origins_of,
    part_folders,
    published_weights,
    teacher_manifest,
    traced_models,
)
from testbed.experiment.targets import all_products, card_products, has_ratios, similarity_products

MEMBERS = {"mini_yfcc": 1, "mini_laion": 3}


@pytest.fixture(scope="module")
def demo():
    return load(read("demo"))


@pytest.fixture(scope="module")
def paper():
    return load(read("paper"))


def metrics(pool: str, sizes: list[int], seeds: list[int], architecture: str = "mini_rn") -> list[str]:
    return [f"results/evaluations/{pool}-{architecture}-{size}-{seed}/metrics.csv" for size in sizes for seed in seeds]


def test_a_list_of_the_mini_web_lies_in_results(demo, paper):
    assert is_mini(demo, "mini_laion") and not is_mini(paper, "laion")
    laion = {"path": "results/miniweb/mini_laion/list", "format": "laion", "columns": {}}
    assert metadata_of(demo, "mini_laion") == laion
    assert metadata_of(demo, "mini_imagenet")["format"] == "csv"
    assert metadata_of(paper, "laion") == {**paper.sources["laion"]["metadata"], "columns": {}}


def test_every_part_has_its_rows_and_its_downloads():
    experiment = load(changed(shuffle__part_size=3000))
    assert part_folders(experiment, "mini_wit") == [
        [f"results/shuffled/mini_wit/{part}.parquet", f"results/downloads/mini_wit/{part}"]
        for part in ("00000", "00001")
    ]


def test_a_test_set_lies_where_its_entry_says(tmp_path):
    experiment = load(changed(testsets__mini_v2={"task": "classification", "retrieve": "imagenetv2"}))
    experiment.testsets["mini_sketch"] = {"task": "classification", "path": "/data/sketch"}
    folders = products.testset_folders(experiment, "mini_rn")
    assert list(folders) == sorted(experiment.testsets)
    assert folders["mini_v2"] == ["results/testsets/mini_v2", "results/decoded/mini_v2-mini_rn"]
    assert folders["mini_sketch"] == ["/data/sketch", "results/decoded/mini_sketch-mini_rn"]


def test_similarity_is_measured_of_the_prefixes_that_trainsets_take():
    mixtures = {"blend": {"shares": {"mini_wit": 1, "mini_yfcc": 2}, "sizes": [600, 900]}}
    experiment = load(changed(mixtures=mixtures, ensembles={}, claims=[]))
    prefixes = compared_prefixes(experiment)
    assert prefixes["mini_wit"] == [200, 300, 600, 1200, 2400, 4800]
    assert prefixes["mini_yfcc"] == [400, 600, 1200, 2400, 4800]
    assert "blend" not in prefixes
    (blend,) = [one for one in compared_trainsets(experiment) if one["pool"] == "blend" and one["size"] == 900]
    assert blend["composition"] == {"mini_wit": 300, "mini_yfcc": 600}
    assert blend["predictions"] == {"mini_rn": ["results/evaluations/blend-mini_rn-900-0/predictions.parquet"]}


def test_a_teacher_is_a_model_of_the_experiment_or_a_published_one(demo, paper):
    teacher = demo.teacher("mini_laion_clip")
    assert teacher_manifest(demo, "mini_laion_clip") == f"results/models/{teacher.name}/manifest.json"
    assert teacher_manifest(paper, "yfcc_clip") == "results/teachers/yfcc_clip/manifest.json"
    assert published_weights(paper.filters["yfcc_clip"]["teacher"]) == {"model": "ViT-B-32-quickgelu", "tag": "openai"}
    assert paper.teacher() is None and similarity_products(load(changed())) == []
    assert teacher_manifest(paper) == "results/similarity_teacher/manifest.json"
    own = load(changed(similarity={"teacher": {"pool": "mini_wit", "size": 600}}))
    assert teacher_manifest(own) == "results/models/mini_wit-mini_rn-600-0/manifest.json"
    assert "results/plots/similarity.pdf" in similarity_products(own)
    assert filters_by(paper, "metaclip") == ["redcaps_balanced"]
    assert filters_by(paper, "clip_score", "metaclip") == list(paper.filters)


def test_a_mixtures_plot_has_its_members_their_ensemble_and_the_baseline():
    experiment = load(
        changed(
            mixtures={"m": {"shares": MEMBERS, "sizes": [600]}},
            ensembles={"e": {"shares": MEMBERS, "sizes": [1200]}},
            statistics__baseline="pool:mini_imagenet",
            seeds=[0, 1],
        )
    )
    sizes, seeds = [600, 1200, 2400, 4800], [0, 1]
    wanted = [*metrics("m", [600], seeds), *metrics("e", [1200], seeds)]
    wanted += [path for pool in ("mini_yfcc", "mini_laion", "mini_imagenet") for path in metrics(pool, sizes, seeds)]
    assert figure_metrics(experiment, "m") == sorted(wanted)


def test_the_figures_of_an_ensemble_and_of_a_filter_have_what_they_are_made_from(demo):
    ensemble = figure_metrics(demo, "mini_redcaps_plus_shutterstock")
    assert ensemble == figure_metrics(demo, "mini_redcaps_shutterstock")
    assert any("/mini_redcaps_shutterstock-" in path for path in ensemble)
    pools = {path.split("/")[2].split("-")[0] for path in figure_metrics(demo, "mini_laion_clip")}
    assert pools == {"mini_laion_clip", "mini_laion", "mini_imagenet"}
    assert origins_of(demo, "mini_laion_clip") == {"mini_laion": 1.0}


def test_ratios_are_drawn_where_two_pools_are_mixed_in_several(demo, paper):
    assert has_ratios(paper)
    assert "results/plots/mixture_ratios.pdf" in all_products(paper)
    assert not has_ratios(demo)
    assert "results/plots/mixture_ratios.pdf" not in all_products(demo)


def test_a_baseline_that_is_a_member_is_named_once():
    experiment = load(
        changed(mixtures={"m": {"shares": MEMBERS}}, ensembles={}, statistics__baseline="pool:mini_yfcc", seeds=[0])
    )
    found = figure_metrics(experiment, "m")
    assert len(found) == len(set(found)) == 3 * 4


def test_curves_are_sorted_by_model():
    experiment = load(changed(seeds=[1, 0]))
    curves = curves_of(experiment, "mini_wit")
    assert [(curve["size"], curve["seed"]) for curve in curves] == [
        (size, seed) for size in (600, 1200, 2400, 4800) for seed in (0, 1)
    ]
    assert curves[0]["curve"] == "results/models/mini_wit-mini_rn-600-0/training.csv"
    assert curves[0]["batch_size"] == 64


def test_lineages_begin_with_manifests_but_those_of_ensembles():
    experiment = load(
        changed(
            ensembles={"e": {"shares": MEMBERS, "sizes": [600]}},
            pretrained={"rn50": {"model": "RN50", "tag": "openai", "device": "cpu"}},
            seeds=[0],
        )
    )
    traced = traced_models(experiment)
    assert set(traced) == {model.name for model in experiment.evaluated()} | {"rn50"}
    assert traced["e-mini_rn-600-0"]["manifest"] is None
    assert traced["rn50"] == {
        **{"model": "rn50", "pool": "pretrained", "architecture": "RN50", "size": 0, "seed": 0},
        "manifest": "results/pretrained/rn50/manifest.json",
    }
    assert traced["mini_wit-mini_rn-600-0"]["manifest"] == "results/models/mini_wit-mini_rn-600-0/manifest.json"


def test_a_run_makes_a_plot_for_each_mixture_pool_and_filter(paper):
    made = all_products(paper)
    assert len(made) == len(set(made))
    named = {path.rpartition("/")[2].removesuffix(".pdf") for path in made if "learning_curves/" in path}
    assert named == {pool for pool in paper.pools if paper.sizes(pool)}
    assert {path for path in made if "plots/mixtures/" in path} == {
        f"results/plots/mixtures/{mixture}.pdf" for mixture in paper.mixtures
    }
    assert "results/plots/entries/redcaps_balanced.pdf" in made
    assert "results/plots/scores/yfcc_clip.pdf" in made
    assert "results/plots/scores/redcaps_balanced.pdf" not in made


def test_the_card_of_a_mixture_of_mixtures_has_its_sources(demo):
    nested = {"both": {"shares": {"mini_yfcc": 1, "mini_laion": 1}}, "more": {"shares": {"both": 3, "mini_wit": 1}}}
    experiment = load(changed(mixtures=nested, ensembles={}))
    entry = products.card_entry(experiment, "more")
    assert entry["members"] == pytest.approx({"mini_laion": 0.375, "mini_wit": 0.25, "mini_yfcc": 0.375}, abs=0.001)
    assert set(entry["members"]) == set(entry["titles"]) <= set(products.described_pools(experiment))


def test_every_pool_that_gives_samples_has_a_card(demo):
    teacher = {"pool": "mini_wit", "size": 600}
    entries = {
        "scored": {"from": "mini_laion", "method": "clip_score", "teacher": teacher, "fraction": 0.5, "sizes": []},
        "seen": {"from": "mini_laion", "method": "clip_score", "teacher": teacher, "fraction": 0.5, "per_class": True},
        "after": {"from": "seen", "method": "basic", "minimum_words": 2, "sizes": [600]},
    }
    experiment = load(changed(filters=entries))
    described = products.described_pools(experiment)
    assert "scored" not in described and {"mini_laion", "seen", "after"} <= set(described)
    made = card_products(experiment)
    assert {f"results/report/pools/{mixture}.html" for mixture in experiment.mixtures} <= set(made)
    assert "results/report/pools/after.html" in made and set(made) <= set(all_products(experiment))
    # The card of a source or of a filter shows the classes that a teacher sees in the same table.
    assert products.scores_with_classes(experiment, "mini_laion") == "seen"
    assert products.scores_with_classes(experiment, "seen") == "seen"
    assert products.scores_with_classes(experiment, "after") is None
    assert products.scores_with_classes(experiment, "mini_wit") is None
    assert products.card_entry(experiment, "after")["from"] == "seen"
    largest = products.largest_predictions(experiment)
    assert "after/mini_rn/600" in largest and all(key.split("/")[0] in described for key in largest)
    assert card_products(load(changed(cards__make=False))) == []
