"""The plan says for each stage how many jobs there are and how many are done."""

from experiments import load, small
from plan import Stage, stages_of, table_of


def test_the_stages_are_counted_from_the_experiment():
    experiment = load(small(shuffle__part_size=300, sizes=[100, 200], mixtures={"ab": {"shares": {"a": 1, "b": 1}}}))
    assert {stage.rule: (len(stage.products), stage.work) for stage in stages_of(experiment)} == {
        "prepare_metadata": (2, "2 released lists"),
        "download_images": (8, "2,000 URLs"),
        "shard_samples": (2, "at most 2,000 images"),
        "link_trainset": (6, "links"),
        "train_clip": (6, "7,200 samples seen"),
        "evaluate_clip": (6, "6 models on 5 test sets"),
    }


def test_done_products_are_counted(tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "folder.json").mkdir()
    products = [str(tmp_path / name) for name in ("a.json", "b.json", "folder.json")]
    stages = [
        Stage("download_images", "15,000,000 URLs", products),
        Stage("train", "8 samples seen", []),
    ]
    assert table_of(stages).splitlines() == [
        "stage            jobs  done  work",
        "download_images     3     1  15,000,000 URLs",
        "train               0     0  8 samples seen",
    ]
