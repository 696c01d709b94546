"""Bad input stops before any work, with one message that names the key, the value and the way out."""

import pytest

from runs import TINY, run_snakemake

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
        pytest.param("seed: 0", "sed: 0", ["unknown key sed", "seed"], id="unknown key"),
        pytest.param("{mini_yfcc: 1,", "{mini_yffc: 1,", ["mini_blend", "mini_yffc", "mini_yfcc"], id="unknown pool"),
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
    (workflow_copy / "map.csv").write_text("class,reference\ncat,dog\ncat,dog\n")
    (workflow_copy / "sets/v2/test").mkdir(parents=True)
    result = run_changed(workflow_copy, old, new)
    assert result.returncode != 0
    for word in expected:
        assert word in result.stdout
    assert "Traceback" not in result.stdout
    assert not (workflow_copy / "results").exists()
