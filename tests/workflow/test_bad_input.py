"""Bad input stops before any work, with one message that names the key, the value and the way out."""

import pytest

from rule_files import rules
from runs import TINY, run_snakemake
from tars import write_folder

MINI_YFCC = "mini_yfcc: {metadata: {miniweb: yfcc}, samples: 300}"
MODEL = "model: resources/architectures/mini_rn"
OWN = "mine: {{metadata: {{path: {path}, format: csv, columns: {{url: image_url, caption: text}}}}, samples: 300}}"


def run_changed(folder, old: str, new: str):
    text = TINY.read_text(encoding="utf-8")
    assert old in text
    (folder / "changed.yaml").write_text(text.replace(old, new), encoding="utf-8")
    return run_snakemake(folder, "--configfile", "changed.yaml", check=False)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("seed: 0", "sed: 0", ["unknown key sed. Did you mean seed?"], id="unknown key"),
        pytest.param(
            "{mini_yfcc: 1,",
            "{mini_yffc: 1,",
            ["mini_blend", "mini_yffc is not a pool", "Did you mean mini_yfcc?"],
            id="unknown pool",
        ),
        pytest.param("[100, 220]", "[100, 301]", ["301", "mini_yfcc", "300"], id="size beyond the source"),
        pytest.param(
            "reference: mini_imagenet", "reference: imagenet", ["reference", "imagenet", "mini_v2"], id="reference"
        ),
        pytest.param('"pool:mini_imagenet"', '"pool:imagenet"', ["baseline", "imagenet"], id="baseline"),
        pytest.param(
            MINI_YFCC, MINI_YFCC + "\n  " + OWN.format(path="gone.csv"), ["sources.mine", "gone.csv"], id="no list"
        ),
        pytest.param(
            MINI_YFCC, MINI_YFCC + "\n  " + OWN.format(path="list.csv"), ["list.csv", "image_url", "link"], id="column"
        ),
        pytest.param(
            "reference: mini_imagenet",
            "reference: mini_imagenet\npretrained: {p: {model: RN50, checkpoint: gone.pt, device: cpu}}",
            ["pretrained.p.checkpoint: gone.pt: there is no such file", "Configuration: "],
            id="no checkpoint",
        ),
        pytest.param(
            MINI_YFCC,
            MINI_YFCC + "\n  " + OWN.format(path="short.csv"),
            ["sources.mine.metadata: short.csv: has 1 rows, but the trainsets of its source need 220. Lower the sizes"],
            id="short list",
        ),
        pytest.param(
            "experiment: tiny",
            "experiment: tiny\npublished_tables: gone.csv\ntestset_origin: {table: none.csv}",
            [
                "published_tables: gone.csv: there is no such file",
                "testset_origin.table: none.csv: there is no such file",
            ],
            id="no tables",
        ),
        pytest.param(
            "mini_v2: {miniweb: v2}", "mini_v2: {path: sets/v2}", ["sets/v2", "classnames.txt"], id="class file"
        ),
        pytest.param(
            MODEL,
            "model: RN51",
            ["architectures.mini_rn.model: RN51 is neither", "open_clip.list_models()"],
            id="no model",
        ),
        pytest.param(
            MODEL,
            "model: roberta-ViT-B-32",
            ["architectures.mini_rn.model", "text tower of roberta-base"],
            id="text tower",
        ),
        pytest.param(
            MODEL,
            "model: ViT-B-16-SigLIP",
            [
                "architectures.mini_rn.model: ViT-B-16-SigLIP takes its tokenizer from timm/ViT-B-16-SigLIP",
                "empty/hub (HF_HOME",
                "open_clip.get_tokenizer('ViT-B-16-SigLIP')",
            ],
            id="no tokenizer",
        ),
        pytest.param(
            MODEL,
            "model: mine",
            ["architectures.mini_rn.model: ", "mine/open_clip_config.json"],
            id="a folder without configuration",
        ),
        pytest.param(
            "mini_v2: {miniweb: v2}",
            "mini_v2: {miniweb: v2, classes: map.csv}",
            ["testsets.mini_v2.classes", "map.csv", "cat has dog twice"],
            id="map of classes",
        ),
    ],
)
def test_bad_input_stops_before_any_work(workflow_copy, monkeypatch, old, new, expected):
    monkeypatch.setenv("HF_HOME", str(workflow_copy / "empty"))
    (workflow_copy / "mine").mkdir()
    (workflow_copy / "list.csv").write_text("link,text\nhttp://photos.test/1.jpg,a cat\n")
    (workflow_copy / "short.csv").write_text("image_url,text\nhttp://photos.test/1.jpg,a cat\n")
    (workflow_copy / "map.csv").write_text("class,reference\ncat,dog\ncat,dog\n")
    (workflow_copy / "sets/v2/test").mkdir(parents=True)
    result = run_changed(workflow_copy, old, new)
    assert result.returncode != 0
    for word in expected:
        assert word in result.stdout
    assert "Traceback" not in result.stdout
    assert not (workflow_copy / "results").exists()


def refused(folder, *arguments) -> str:
    result = run_snakemake(folder, *arguments, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout and not (folder / "results").exists()
    return result.stdout


def test_all_that_is_wrong_is_told_at_once_with_the_files_that_it_comes_from(workflow_copy):
    (workflow_copy / "mine.yaml").write_text(
        "sed: 1\nsizes: [512, 2950]\nseeds: [0]\nseeds: [1]\n"
        "mixtures: {half: {shares: {mini_yffc: 1, mini_wit: 1}, sizes: [512]}}\n"
        "sources: {mine: {metadata: {path: gone.csv, format: csv}, samples: 3000}}\n"
        "testsets: {own: {path: gone}}\n"
    )
    output = refused(workflow_copy, "-n", "--configfile", "mine.yaml")
    lines = [line for line in output.splitlines() if ": " in line]
    expected = [
        "mine.yaml, line 4: key seeds is there twice, first in line 3.",
        "the experiment: unknown key sed. Did you mean seed?",
        "sizes: 2950 samples of mini_yfcc need 2950 of source mini_yfcc, which has only 2900",
        "mixtures.half.shares: mini_yffc is not a pool of this experiment. Did you mean mini_yfcc?",
        "filters.mini_laion_clip.teacher.size: mini_shutterstock has no model of size 2560, only of 512, 2950 (sizes)",
        "sources.mine.metadata: gone.csv: there is no such file",
        "testsets.own.path: gone is not a folder",
        "Configuration: config/config.yaml + config/demo.yaml + mine.yaml (experiment: demo, the default). mine.yaml has no "
        "key experiment",
    ]
    places = [
        [place for place, line in enumerate(lines) if line.endswith(words) or words in line] for words in expected
    ]
    assert all(places), [words for words, found in zip(expected, places, strict=True) if not found]
    assert places == sorted(places)


def test_a_target_behind_configfile_is_told_apart_from_a_file(workflow_copy):
    targets = ["plan", "results/plots/effective_robustness.pdf"]
    output = refused(workflow_copy, "--configfile", "config/paper.yaml", *targets, "-n")
    assert output.splitlines()[-1] == (
        f"Error: {' '.join(targets)} was read as a configuration file, like every argument after --configfile. Write "
        f"targets before it: uv run snakemake {' '.join(targets)} --configfile config/paper.yaml"
    )


def test_a_list_that_nobody_has_is_told_before_any_work(workflow_copy):
    text = TINY.read_text(encoding="utf-8").replace("{miniweb: laion}", "{retrieve: cc12, format: cc12m}")
    (workflow_copy / "mine.yaml").write_text(text)
    output = refused(workflow_copy, "-n", "--configfile", "mine.yaml")
    assert "sources.mini_laion.metadata.retrieve: cc12: there is no such list; write one of cc12m" in output


def test_a_misspelt_test_set_is_told_before_any_work(workflow_copy):
    text = TINY.read_text(encoding="utf-8").replace("{miniweb: sketch}", "{retrieve: imagenet-sketch}")
    (workflow_copy / "mine.yaml").write_text(text)
    output = refused(workflow_copy, "-n", "--configfile", "mine.yaml")
    assert (
        "testsets.mini_sketch.retrieve: imagenet-sketch: there is no such test set. Did you mean imagenet_sketch?"
        in output
    )


@pytest.mark.parametrize("file", ["config/demo.yaml", "mine.yaml"])
def test_what_is_no_yaml_is_named_with_its_line(workflow_copy, file):
    (workflow_copy / file).write_text("seed: 0\nseeds: [0, 1\nsizes: [100]\n")
    output = refused(workflow_copy, *(["--configfile", file] if file == "mine.yaml" else []))
    assert f"{file}, line 3, column 6: is not YAML" in output and "begins in line 2" in output


def test_a_source_on_disk_with_too_few_samples_ends_the_run_before_any_download(workflow_copy):
    write_folder(workflow_copy / "photos", 30)
    text = TINY.read_text(encoding="utf-8")
    (workflow_copy / "mine.yaml").write_text(
        text.replace(MINI_YFCC, f"{MINI_YFCC}\n  photos: {{files: {{path: photos}}}}")
    )
    options = ("--configfile", "mine.yaml", "--cores", "1")
    # Then downloads are ready as soon as the source on disk is.
    run_snakemake(workflow_copy, "results/shuffled/mini_yfcc/manifest.json", *options)
    targets = [f"results/trainsets/{source}/100/manifest.json" for source in ("mini_yfcc", "photos")]
    result = run_snakemake(workflow_copy, *targets, *options, check=False)
    assert result.returncode == 1
    assert (
        "source photos: 30 samples on disk are usable, but its trainsets, mixtures and filters need 220;"
        in result.stdout
    )
    assert not (workflow_copy / "results/downloads").exists()


@pytest.mark.parametrize("rule", ["index_shards", "index_files", "collect_index", "decode_testset"])
def test_jobs_that_find_bad_input_run_before_longer_ones(rule):
    """Without a priority, the order of jobs that can start is by chance."""
    assert "priority" in rules()[rule]


def test_a_gpu_model_of_trainings_on_several_nodes_is_told_before_any_work(workflow_copy):
    text = TINY.read_text(encoding="utf-8").replace("gpus: 0", "gpus: 1\n    nodes: 2")
    (workflow_copy / "mine.yaml").write_text(text)
    options = ("-n", "--configfile", "mine.yaml", "--set-resources", "train_clip:gpu_model=a100")
    assert "architectures.mini_rn.nodes: 2: SLURM refuses a training" in refused(workflow_copy, *options)
