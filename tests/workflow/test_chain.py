"""The whole chain on the tiny experiment: every stage with its real component."""

import csv
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from pyarrow import parquet

from filter_tables import table_of
from processes import cpu_seconds
from runs import TINY, copy_workflow, run_snakemake
from testbed.miniweb.testsets import labels_in_turn, scenes_of_testset
from testbed.miniweb.world import CLASSES

MODELS = [
    f"{pool}-mini_rn-{size}-0"
    for pool in ("mini_yfcc", "mini_laion", "mini_imagenet", "mini_blend")
    for size in (100, 220)
]
ENSEMBLES = [f"mini_both-mini_rn-{size}-0" for size in (100, 220)]
EVALUATION_COLUMNS = [
    *["model", "architecture", "pool", "size", "seed", "testset", "classes", "metric"],
    *["n", "correct", "value", "value_low", "value_high"],
]
SOURCES = ("mini_yfcc", "mini_laion", "mini_imagenet")
TESTSETS = ["mini_imagenet", "mini_v2", "mini_sketch"]


def rows_of(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def uids_of(trainset: Path) -> list[str]:
    """Uids of a trainset's samples in the order of its shards."""
    uids = []
    for entry in json.loads((trainset / "manifest.json").read_text())["files"]:
        with tarfile.open(trainset / entry["name"]) as archive:
            uids += [name.removesuffix(".txt") for name in archive.getnames() if name.endswith(".txt")]
    return uids


def weights_times(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("results/models/*/*.safetensors")}


@pytest.fixture
def own_copy(tiny_run, tmp_path):
    """The finished tiny run in a folder of the test's own."""
    return Path(shutil.copytree(tiny_run, tmp_path / "clone", symlinks=True))


def test_every_model_is_evaluated_on_every_test_set(tiny_run):
    rows = rows_of(tiny_run / "results/tables/evaluations.csv")
    assert list(rows[0]) == EVALUATION_COLUMNS
    top1 = {(row["model"], row["testset"]): row for row in rows if row["metric"] == "top1"}
    assert set(top1) == {(model, testset) for model in [*MODELS, *ENSEMBLES] for testset in TESTSETS}
    for row in top1.values():
        assert int(row["n"]) == 100
        assert float(row["value_low"]) <= int(row["correct"]) / 100 <= float(row["value_high"])


def test_tables_have_the_columns_that_users_rely_on(tiny_run):
    trends = rows_of(tiny_run / "results/tables/trends.csv")
    assert list(trends[0]) == [
        *["pool", "architecture", "testset", "classes", "scale", "n", "left_out", "slope"],
        *["slope_low", "slope_high", "intercept", "intercept_low", "intercept_high", "r2"],
        *["reference_min", "reference_max"],
    ]
    assert {(row["pool"], row["testset"]) for row in trends} == {
        (pool, shift)
        for pool in ("mini_yfcc", "mini_laion", "mini_imagenet", "mini_blend", "mini_both")
        for shift in ("mini_v2", "mini_sketch")
    }
    robustness = rows_of(tiny_run / "results/tables/effective_robustness.csv")
    assert {row["baseline"] for row in robustness} == {"pool:mini_imagenet"}
    assert {row["model"] for row in robustness} == {*MODELS, *ENSEMBLES}


def test_two_models_per_pool_decide_no_claim(tiny_run):
    claims = rows_of(tiny_run / "results/claims.csv")
    assert len(claims) > 5
    assert {row["verdict"] for row in claims} == {"undecided"}
    # which pools have lines at all is chance in so small a run, but none of two models has an interval
    compared = rows_of(tiny_run / "results/tables/comparisons.csv")
    assert {row["verdict"] for row in compared} <= {"undecided"}
    dilution = rows_of(tiny_run / "results/tables/dilution.csv")
    assert {(row["mixture"], row["testset"]) for row in dilution} == {("mini_blend", name) for name in TESTSETS[1:]}
    scaling = rows_of(tiny_run / "results/tables/scaling.csv")
    assert {(row["size_min"], row["size_max"], row["extrapolated_size"]) for row in scaling} == {("100", "220", "440")}


def test_plots_are_drawn(tiny_run):
    for name in (
        *("effective_robustness", "effective_robustness_of_all_pools", "claims"),
        *("mixtures/mini_blend", "data_efficiency", "similarity"),
    ):
        assert (tiny_run / f"results/plots/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (tiny_run / f"results/plots/{name}.png").stat().st_size > 10_000
    for shift in TESTSETS[1:]:
        assert (tiny_run / f"results/plots/shifts/{shift}.pdf").read_bytes().startswith(b"%PDF")


def test_every_url_of_the_list_is_accounted_for(tiny_run):
    for source in SOURCES:
        counts = json.loads((tiny_run / f"results/metadata/{source}/counts.json").read_text())
        assert counts["rows"] == counts["kept"] + sum(counts["dropped"].values())
        assert counts["dropped"]
        parts = [json.loads(path.read_text()) for path in tiny_run.glob(f"results/downloads/{source}/*/manifest.json")]
        assert sum(part["rows"] for part in parts) == 300
        assert sum(sum(part["causes"].values()) for part in parts) == 300
        shards = json.loads((tiny_run / f"results/shards/{source}/manifest.json").read_text())
        assert shards["samples"] == sum(part["successes"] for part in parts) < 300


def test_test_images_are_compared_with_every_trainset(tiny_run):
    """A mixture is as near as the nearest of its members' first samples, and every nearest sample is in the trainset."""
    rows = rows_of(tiny_run / "results/tables/similarity.csv")
    pools = (*SOURCES, "mini_blend")
    assert {(row["pool"], row["size"], row["testset"]) for row in rows} == {
        (pool, size, testset) for pool in pools for size in ("100", "220") for testset in TESTSETS
    }
    assert {row["images"] for row in rows} == {"100"}
    nearest = {
        pool: parquet.read_table(tiny_run / f"results/similarity/{pool}/nearest.parquet").to_pandas()
        for pool in SOURCES
    }
    for size in (100, 220):
        own = nearest["mini_yfcc"][nearest["mini_yfcc"]["samples"] == size]
        assert len(own) == 300 and set(own["uid"]) <= set(uids_of(tiny_run / f"results/trainsets/mini_yfcc/{size}"))
        members = json.loads((tiny_run / f"results/trainsets/mini_blend/{size}/manifest.json").read_text())[
            "composition"
        ]
        both = [nearest[pool][nearest[pool]["samples"] == count] for pool, count in members.items()]
        best = both[0].assign(other=both[1]["similarity"].to_numpy())
        best["similarity"] = best[["similarity", "other"]].max(axis=1)
        means = best.groupby("testset")["similarity"].mean()
        for row in rows:
            if (row["pool"], row["size"]) == ("mini_blend", str(size)):
                assert float(row["mean"]) == pytest.approx(means[row["testset"]], abs=1e-5)
    page = (tiny_run / "results/report/explore.html").read_text(encoding="utf-8")
    assert '"similarity":{"teacher":"mini_yfcc, mini_rn, 220 samples"' in page


def test_planted_near_duplicates_are_counted(tiny_run):
    """Of test images in one source, and of images that a source shows again as they are."""
    rows = {(row["source"], row["testset"]): row for row in rows_of(tiny_run / "results/tables/overlap.csv")}
    assert set(rows) == {(source, of) for source in SOURCES for of in [*TESTSETS, ""]}
    found = table_of(tiny_run / "results/overlap/mini_laion/testsets").to_pylist()
    uids = {row["url"]: row["uid"] for row in table_of(tiny_run / "results/samples/mini_laion").to_pylist()}
    pages = parquet.read_table(tiny_run / "results/miniweb/mini_laion/pages.parquet").to_pylist()
    shown = {(page["label"], page["domain"], page["seed"]): page["url"] for page in pages if page["change"]}
    labels, planted = [CLASSES[label].name for label in labels_in_turn(100)], 0
    for testset in TESTSETS:
        scenes = scenes_of_testset(testset.removeprefix("mini_"), labels, 0)
        wanted = {uids[shown[scene]] for scene in scenes if shown.get(scene) in uids}
        near = {pair["uid"] for pair in found if pair["testset"] == testset}
        assert wanted <= near and int(rows["mini_laion", testset]["near_samples"]) == len(near)
        planted += len(wanted)
    assert planted > 1
    for source in SOURCES:
        urls = set(table_of(tiny_run / f"results/samples/{source}")["url"].to_pylist())
        pages = parquet.read_table(tiny_run / f"results/miniweb/{source}/pages.parquet").to_pylist()
        images = [(page["label"], page["domain"], page["seed"]) for page in pages if page["url"] in urls]
        assert 0 < len(images) - len(set(images)) <= int(rows[source, ""]["near_samples"]) < 20


def test_trainsets_are_nested_and_exact(tiny_run):
    folder = tiny_run / "results/trainsets"
    small, large = uids_of(folder / "mini_yfcc/100"), uids_of(folder / "mini_yfcc/220")
    assert len(small) == len(set(small)) == 100
    assert len(large) == len(set(large)) == 220
    assert large[:100] == small


def test_a_mixture_holds_the_first_samples_of_its_members(tiny_run):
    folder = tiny_run / "results/trainsets"
    manifest = json.loads((folder / "mini_blend/220/manifest.json").read_text())
    assert manifest["composition"] == {"mini_yfcc": 73, "mini_laion": 147}
    blend = set(uids_of(folder / "mini_blend/220"))
    assert set(uids_of(folder / "mini_blend/100")) < blend
    assert blend == {*uids_of(folder / "mini_yfcc/220")[:73], *uids_of(folder / "mini_laion/220")[:147]}


def test_trainsets_hold_links_and_at_most_one_file(tiny_run):
    for folder in tiny_run.glob("results/trainsets/*/*"):
        files = [path for path in folder.glob("*.tar") if not path.is_symlink()]
        assert len(files) <= 1


def test_a_run_ends_with_where_its_results_are(tiny_run):
    end = (tiny_run / "run.log").read_text().partition("100%) done\n")[2].splitlines()
    paths = re.findall(r"results/[\w./]+", "\n".join(end[:6]))
    assert len(paths) == 7 and all((tiny_run / path).exists() for path in paths)
    assert "Complete log" in end[6]
    for command in (["plan"], ["status"], ["verify"], []):
        assert "report/explore.html" not in run_snakemake(tiny_run, *command, "--configfile", TINY).stdout


def test_a_finished_run_has_nothing_to_do(tiny_run):
    started = cpu_seconds()
    result = run_snakemake(tiny_run, "--configfile", TINY)
    assert "Nothing to be done" in result.stdout
    assert cpu_seconds() - started < 10


def test_a_plain_command_looks_through_every_manifest(tiny_run):
    assert "as their manifests record them" in run_snakemake(tiny_run, "verify", "--configfile", TINY).stdout


def test_verify_names_a_file_that_is_damaged(own_copy):
    shard = own_copy / "results/shards/mini_yfcc/000001.tar"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    result = run_snakemake(own_copy, "verify", "--configfile", TINY, check=False)
    assert result.returncode != 0
    assert "results/shards/mini_yfcc/000001.tar" in result.stdout


def test_plan_says_what_a_run_takes(tiny_run):
    lines = run_snakemake(tiny_run, "plan", "--configfile", TINY).stdout.splitlines()
    train = next(line.split() for line in lines if line.startswith("train_clip"))
    assert train[1:3] == ["8", "8"]


def test_status_says_what_is_done(tiny_run):
    lines = run_snakemake(tiny_run, "status", "--configfile", TINY).stdout.splitlines()
    source = next(line.split() for line in lines if line.startswith("mini_yfcc "))
    assert source[1:6] == ["done", "done", "2/2", "0", "0"]
    assert "trainings: 8 done" in lines and "evaluations: 8 done" in lines


def test_downloads_are_gone_and_their_outcomes_are_not(tiny_run):
    """Raw images stay for the last, not full shard of each source alone."""
    for source in SOURCES:
        outcomes = list(tiny_run.glob(f"results/downloads/{source}/*/[0-9]*.parquet"))
        assert len(outcomes) == 6
        assert len(list(tiny_run.glob(f"results/downloads/{source}/*/*.tar"))) in (1, 2)


def test_a_forced_mixture_is_retrained_and_nothing_else(own_copy):
    before = weights_times(own_copy)
    run_snakemake(own_copy, "--configfile", TINY, "--forcerun", "train_clip", "results/plots/mixtures/mini_blend.pdf")
    after = weights_times(own_copy)
    assert {model for model in MODELS if before[model] != after[model]} == {
        "mini_blend-mini_rn-100-0",
        "mini_blend-mini_rn-220-0",
    }


def test_weights_and_biases_gets_a_run_of_the_models_name(own_copy, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (own_copy / "wandb.yaml").write_text("training: {wandb_project: mine}")
    name = "mini_yfcc-mini_rn-100-0"
    target = f"results/models/{name}/manifest.json"
    run_snakemake(own_copy, target, "--forcerun", "train_clip", "--configfile", TINY, "wandb.yaml")
    assert len(list(own_copy.glob(f"results/models/{name}/wandb/offline-run-*-{name}/*.wandb"))) == 1


def test_a_changed_comment_retrains_and_fetches_nothing(own_copy):
    for script in ("train_clip", "download_images", "shard_samples"):
        path = own_copy / f"workflow/scripts/{script}.py"
        path.write_text(path.read_text() + "\n# another comment\n")
    payload = [path for kind in ("downloads", "shards") for path in (own_copy / "results" / kind).rglob("*.tar")]
    times = {path: path.stat().st_mtime_ns for path in payload}
    weights = weights_times(own_copy)
    # Of all models, without what is made from their evaluations.
    result = run_snakemake(own_copy, "results/tables/evaluations.csv", "--configfile", TINY)
    assert "Training mini_rn" in result.stdout
    assert weights_times(own_copy) == weights
    assert {path: path.stat().st_mtime_ns for path in payload} == times


def test_another_size_adds_models_and_keeps_the_others(own_copy):
    weights = weights_times(own_copy)
    config = TINY.read_text().replace("sizes: [100, 220]", "sizes: [100, 160, 220]")
    (own_copy / "more.yaml").write_text(config)
    run_snakemake(own_copy, "results/evaluations/mini_yfcc-mini_rn-160-0/metrics.csv", "--configfile", "more.yaml")
    after = weights_times(own_copy)
    assert {model: after[model] for model in weights} == weights
    assert "mini_yfcc-mini_rn-160-0" in after


def test_the_shim_finds_the_workflow_and_its_default_target(tmp_path):
    folder = copy_workflow(tmp_path / "clone")
    result = run_snakemake(folder, "-s", "workflow/Snakefile", "-n", "--configfile", TINY)
    assert "plot_effective_robustness" in result.stdout
