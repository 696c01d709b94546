"""The paper's own experiment in miniature: config/paper.yaml with config/paper_small.yaml on top, from lists to report.

Every product that a run makes is opened here. What models answer is compared with what open_clip alone gives
(paper_models.py), what figures say with the text in their PDF files.
"""

import csv
import html
import math
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image
from test_chain import rows_of, uids_of
from test_documented_outputs import compare

from experiments import ROOT
from paper_products import GROUPS, answered, ask_open_clip, read_json, says, table_of, text_of
from paper_small import (
    ASKED,
    CONFIG,
    ENSEMBLES,
    LARGEST,
    MIXTURES,
    MODELS,
    PAPER,
    POOLS,
    SHIFTS,
    SIZES,
    SMALL,
    SOURCES,
    TESTSETS,
    TITLES,
)
from runs import copy_workflow, run_snakemake
from testbed.records.files import sha256
from testbed.statistics.comparisons import CONTRADICTED, SUPPORTED, UNDECIDED


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Path]:
    """The finished run, whose products tests leave as they are. Its models have 400 MB each, so that none of it is kept."""
    folder = copy_workflow(tmp_path_factory.mktemp("paper_small") / "clone")
    run_snakemake(folder, *CONFIG)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def known(run, scripts_environment) -> dict:
    """What open_clip alone says of this run."""
    return ask_open_clip(run, scripts_environment)


@pytest.mark.parametrize("source", SOURCES)
def test_each_released_list_is_read_in_its_own_format(run, source):
    drawn = read_json(run / f"results/miniweb/{source}/manifest.json")
    counts = read_json(run / f"results/metadata/{source}/counts.json")
    assert {cause: count for cause, count in counts["dropped"].items() if count} == drawn["traps"]
    assert counts["kept"] == drawn["pairs"] == SMALL["sources"][source]["samples"]
    for manifest in sorted((run / f"results/downloads/{source}").glob("*/manifest.json")):
        assert read_json(manifest)["successes"] > 0
    shards = sorted((run / f"results/shards/{source}").glob("*.tar"))
    with tarfile.open(shards[0]) as archive:
        images = [Image.open(archive.extractfile(member)) for member in archive if member.name.endswith(".jpg")]
        assert images and all(64 <= min(image.size) <= 256 for image in images)


def test_wikimedia_is_asked_slowly_and_told_whom_to_write_to(run):
    """The mini-web's Wikimedia refuses whoever names no contact; 8 jobs share 10 requests per second."""
    download = SMALL["download"]
    causes = read_json(run / "results/downloads/wit/00000/manifest.json")["causes"]
    assert causes["success"] > 10 and "HTTP 403" not in causes
    with open(run / "results/benchmarks/download_images/wit-00000.tsv", newline="") as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    each = download["hosts"]["upload.wikimedia.test"] / 8
    assert float(row["s"]) > (SMALL["sources"]["wit"]["samples"] - 1) / each


@pytest.mark.parametrize("pool", POOLS)
def test_each_pool_is_trained_as_the_paper_says(run, pool):
    for size in SIZES[pool]:
        trainset = read_json(run / f"results/trainsets/{pool}/{size}/manifest.json")
        assert sum(trainset["composition"].values()) == size
        shares = PAPER["mixtures"].get(pool, {"shares": {pool: 1}})["shares"]
        assert set(trainset["composition"]) == set(shares)
        assert all(abs(trainset["composition"][name] - size * share / sum(shares.values())) <= 1
                   for name, share in shares.items())  # fmt: skip
        assert len(set(uids_of(run / f"results/trainsets/{pool}/{size}"))) == size
        folder = run / f"results/models/{pool}-rn50-{size}-0"
        network = read_json(folder / "open_clip_config.json")
        assert network["model_cfg"]["vision_cfg"]["layers"] == [3, 4, 6, 3]
        assert network["model_cfg"]["vision_cfg"]["image_size"] == 224
        assert network["model_cfg"]["text_cfg"] == {
            **network["model_cfg"]["text_cfg"],
            **{"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
        }
        curve = rows_of(folder / "training.csv")
        assert int(curve[-1]["step"]) + 1 == size // SMALL["architectures"]["rn50"]["batch_size"]
        assert all(0 < float(row["loss"]) < 20 for row in curve)
        assert read_json(folder / "manifest.json")["recipe"]["precision"] == "fp32"


def test_test_sets_come_from_the_hub_and_are_framed_for_the_model(run, known):
    table = {row["retrieve"]: row for row in rows_of(run / "resources/paper_small/testsets.csv")}
    for testset in TESTSETS:
        name = PAPER["testsets"][testset]["retrieve"]
        manifest = read_json(run / f"results/testsets/{testset}/manifest.json")
        assert manifest["origin"] == f"http://huggingface.test/datasets/clip-benchmark/wds_{name}/resolve/main"
        assert [manifest[what] for what in ("images", "classes")] == [
            int(table[name][what]) for what in ("images", "classes")
        ]
        images = np.load(run / f"results/decoded/{testset}-rn50/images.npy", mmap_mode="r")
        assert images.shape == (manifest["images"], 224, 224, 3)
        assert known["distances"][testset] < 1e-3


@pytest.mark.parametrize("ensemble", [None, *[name for name in ENSEMBLES if name.startswith("yfcc_plus_laion")]])
def test_accuracies_are_those_that_open_clip_gives(run, known, ensemble):
    """Also over the classes of ImageNet-R and ObjectNet, by the maps of their classes."""
    if ensemble is None:
        members = {model: ([model], [1.0]) for model in ASKED}
    else:
        weights = list(PAPER["ensembles"][ensemble]["shares"].values())
        members = {f"{ensemble}-rn50-{LARGEST}-0": (ASKED, [weight / sum(weights) for weight in weights])}
    for model, (parts, shares) in members.items():
        rows = rows_of(run / f"results/evaluations/{model}/metrics.csv")
        scored = parquet.read_table(run / f"results/evaluations/{model}/predictions.parquet").to_pylist()
        top1 = {(row["testset"], row["classes"]): row for row in rows if row["metric"] == "top1"}
        wanted = {(testset, "all") for testset in TESTSETS}
        assert set(top1) == wanted | {(testset, shift) for shift in GROUPS for testset in ("imagenet", shift)}
        for (testset, classes), row in top1.items():
            logits, labels = answered(known, parts, shares, testset, classes)
            given = [one["prediction"] for one in scored if (one["testset"], one["classes"]) == (testset, classes)]
            assert int(row["n"]) == len(labels) == len(given)
            assert int(row["correct"]) == sum(np.array(given) == labels)
            # The order of additions differs, and may decide between classes that are as good as equal.
            behind = logits.max(axis=1) - logits[np.arange(len(given)), given]
            assert behind.max() < 1e-3 < np.ptp(logits)


def test_filters_keep_what_their_scores_and_entries_say(run, known):
    scores = {}
    for name in ("yfcc_clip", "yfcc_by_shutterstock"):
        pairs, own, kept = (
            table_of(run / f"results/{part}") for part in ("samples/yfcc", f"scores/{name}", f"samples/{name}")
        )
        scores[name] = {pair["uid"]: row["clip_score"] for pair, row in zip(pairs, own, strict=True)}
        best = sorted(scores[name], key=scores[name].get, reverse=True)
        assert {row["uid"] for row in kept} == set(best[: int(len(best) * SMALL["filters"][name]["fraction"])])
    assert set(scores["yfcc_clip"]) == set(known["scores"])
    # Half precision on the Hub, single precision here; scores are stored in the latter.
    assert all(abs(scores["yfcc_clip"][uid] - score) < 2e-3 for uid, score in known["scores"].items())
    assert np.std(list(known["scores"].values())) > 5e-3
    teacher = read_json(run / "results/scores/yfcc_by_shutterstock/manifest.json")["made_from"]
    assert f"results/models/shutterstock-rn50-{LARGEST}-0/manifest.json" in [file["path"] for file in teacher]
    entries = rows_of(run / "results/tables/entries/redcaps_balanced.csv")
    listed = read_json(run / SMALL["filters"]["redcaps_balanced"]["entries"][0]["path"])
    captions = [
        # Punctuation counts as spaces.
        f" {re.sub('([,.;:!?-])', ' ', row['caption'])} ".replace("  ", " ")
        for row in table_of(run / "results/samples/redcaps")
    ]
    for row in entries:
        assert row["entry"] in listed
        assert int(row["count"]) == sum(f" {row['entry']} " in caption for caption in captions)
    assert len(entries) > 10


def test_tables_have_every_pool_shift_and_baseline(run):
    evaluations = rows_of(run / "results/tables/evaluations.csv")
    assert {row["model"] for row in evaluations} == MODELS
    scored = [(row["model"], row["testset"], row["classes"]) for row in evaluations if row["metric"] == "top1"]
    of_shifts = [(testset, shift) for shift in GROUPS for testset in ("imagenet", shift)]
    kinds = [*((testset, "all") for testset in TESTSETS), *of_shifts]
    assert sorted(scored) == sorted((model, *kind) for model in MODELS for kind in kinds)
    rows = rows_of(run / "results/tables/effective_robustness.csv")
    assert {(row["model"], row["testset"]) for row in rows} == {(model, shift) for model in MODELS for shift in SHIFTS}
    assert {(row["baseline"], row["scale"]) for row in rows} == {("standard_extended", "logit")}
    lines = {
        (row["testset"], row["classes"]): (float(row["slope"]), float(row["intercept"]))
        for row in rows_of(ROOT / "resources/baselines.csv")
        if (row["scale"], row["baseline"]) == ("logit", "standard_extended")
    }
    measured = [row for row in rows if row["effective_robustness"]]
    assert {(row["testset"], row["classes"]) for row in measured} > {(shift, "all") for shift in SHIFTS}
    for row in measured:
        (slope, intercept), x = lines[row["testset"], row["classes"]], float(row["reference_value"])
        expected = 1 / (1 + math.exp(-(slope * math.log(x / (1 - x)) + intercept)))
        assert float(row["effective_robustness"]) == pytest.approx(100 * (float(row["value"]) - expected), abs=1e-6)
    trends = rows_of(run / "results/tables/trends.csv")
    assert {row["pool"] for row in trends} == {*POOLS, *ENSEMBLES}
    assert {row["classes"] for row in trends} == {"all", *GROUPS}
    assert {row["mixture"] for row in rows_of(run / "results/tables/dilution.csv")} == set(MIXTURES)
    assert {row["pool"] for row in rows_of(run / "results/tables/scaling.csv")} == set(POOLS)
    public = rows_of(run / "results/tables/reference_models.csv")
    assert {row["testset"] for row in public} == {*SHIFTS, "imagenet-a"}
    published = rows_of(run / "resources/paper_small/openclip_results.csv")
    # Three rows have another activation than their models were trained with.
    assert len(public) == 5 * (len({tuple(row.values())[2:] for row in published}) - 3)
    assert all(row["effective_robustness"] for row in public if row["testset"] in SHIFTS)


def test_claims_of_the_paper_are_judged(run):
    rows = rows_of(run / "results/claims.csv")
    own = [row for row in rows if row["claim"].startswith("best")]
    assert len(own) == len(PAPER["claims"])
    for row, claim in zip(own, PAPER["claims"], strict=True):
        assert all(pool in row["statement"] for pool in claim["best"])
    assert {row["verdict"] for row in rows} <= {SUPPORTED, CONTRADICTED, UNDECIDED, ""}
    page = html.unescape((run / "results/report/claims.html").read_text(encoding="utf-8"))
    assert all(row["statement"] in page for row in rows)


def test_figures_show_their_panels_lines_and_pools(run):
    plots = run / "results/plots"
    baseline = "standard models, extended (baseline)"
    main, every = (text_of(plots / f"effective_robustness{end}.pdf") for end in ("", "_of_all_pools"))
    assert says(main, *TITLES, *SOURCES, "public CLIP model") and baseline in main
    assert says(every, *TITLES, *POOLS, *ENSEMBLES, "public CLIP model") and baseline in every
    for mixture in MIXTURES:
        text = text_of(plots / f"mixtures/{mixture}.pdf")
        shares = PAPER["mixtures"][mixture]["shares"]
        parts = [f"{100 * share / sum(shares.values()):.3g} % {name}" for name, share in shares.items()]
        assert says(text, *TITLES, *shares, *parts) and baseline in text
    for pool in POOLS:
        text = text_of(plots / f"learning_curves/{pool}.pdf")
        assert says(text, pool, "loss", "learning rate", *(f"{size} samples, seed 0" for size in SIZES[pool]))
    efficiency = text_of(plots / "data_efficiency.pdf")
    assert says(efficiency, "ImageNet", *TITLES, *POOLS)
    for name in ("yfcc_clip", "yfcc_by_shutterstock"):
        kept, whole = (len(table_of(run / f"results/samples/{pool}")) for pool in (name, "yfcc"))
        text = text_of(plots / f"scores/{name}.pdf")
        assert f"all {whole} samples {kept} that are kept ({kept / whole:.1%})" in text
    kept, whole = (len(table_of(run / f"results/samples/{pool}")) for pool in ("redcaps_balanced", "redcaps"))
    assert f"{kept} of {whole} samples stay" in text_of(plots / "entries/redcaps_balanced.pdf")
    assert says(text_of(plots / "theory.pdf"), "Size moves along a line", "Mixtures lie between")
    assert "exponent of η" in text_of(plots / "contrastive.pdf")
    for picture in plots.rglob("*.png"):
        with Image.open(picture) as image:
            assert len(image.convert("L").getcolors(256)) > 20, picture


def test_every_model_is_traced_to_the_released_lists(run):
    rows = {row["model"]: row for row in rows_of(run / "results/provenance.csv")}
    assert {row["pool"] for row in rows.values()} == {*POOLS, *ENSEMBLES}
    assert {row["broken"] for row in rows.values()} == {""}
    six = rows["all_six-rn50-6-0"]["sources"]
    assert all(f"{source}: " in six for source in SOURCES)
    verified = run_snakemake(run, "verify", *CONFIG).stdout
    assert "as their manifests record them" in verified
    unknown, _ = compare(run)
    assert unknown == []


def test_citations_name_sources_sets_filters_and_tools(run):
    keys = re.findall(r"^@\w+\{([^,]+),", (run / "results/citations.bib").read_text(encoding="utf-8"), re.MULTILINE)
    listed = (ROOT / "resources/citations.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^@\w+\{([^,]+),(.*?)^\}", listed, re.MULTILINE | re.DOTALL))
    used = ["paper", *(f"format:{source}" for source in SOURCES)]
    used += [f"testset:{entry['retrieve']}" for entry in PAPER["testsets"].values()]
    used += ["filter:metaclip", "filter:clip_score", "tool:snakemake", "tool:img2dataset"]
    for word in used:
        assert any(re.search(rf"\b{word}\b", text) and key in keys for key, text in entries.items()), word


def test_the_report_has_the_figures(run):
    run_snakemake(run, "--report", "results/report.zip", *CONFIG)
    with zipfile.ZipFile(run / "results/report.zip") as report:
        names = report.namelist()
    assert any(name.endswith("report.html") for name in names)
    assert len([name for name in names if name.endswith(".png")]) == len(list(run.glob("results/plots/**/*.png")))
    (run / "results/report.zip").unlink()
    page = (run / "results/report/explore.html").read_text(encoding="utf-8")
    assert says(page, *POOLS, *ENSEMBLES, *SHIFTS)


def test_nothing_is_left_to_do(run):
    assert "Nothing to be done" in run_snakemake(run, *CONFIG, "-n").stdout


def test_jobs_without_the_warm_worker_make_the_same(run, monkeypatch):
    """As on a cluster: each job imports its packages itself."""
    monkeypatch.setenv("CLIP_TESTBED_WORKER", "none")
    folders = [
        run / f"results/{made}" for made in ("decoded/imagenet-rn50", f"models/{ASKED[0]}", f"evaluations/{ASKED[0]}")
    ]
    names = ["images.npy", "open_clip_model.safetensors", "predictions.parquet"]
    before = [sha256(folder / name) for folder, name in zip(folders, names, strict=True)]
    for folder in folders:
        shutil.rmtree(folder)
    run_snakemake(run, f"results/evaluations/{ASKED[0]}/metrics.csv", *CONFIG)
    assert [sha256(folder / name) for folder, name in zip(folders, names, strict=True)] == before
