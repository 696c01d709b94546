"""The plan says for each stage how many jobs there are and how many are done."""

from plan import Stage, stages_of, table_of
from testbed.experiment import Experiment


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
