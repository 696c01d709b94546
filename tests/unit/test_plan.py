"""The plan says for each stage how many jobs there are and how many are done."""

from plan import table_of


def test_done_products_are_counted(tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "folder.json").mkdir()
    products = [str(tmp_path / name) for name in ("a.json", "b.json", "folder.json")]
    stages = [
        {"name": "download_images", "work": "15,000,000 URLs", "products": products},
        {"name": "train", "work": "8 samples seen", "products": []},
    ]
    assert table_of(stages).splitlines() == [
        "stage            jobs  done  work",
        "download_images     3     1  15,000,000 URLs",
        "train               0     0  8 samples seen",
    ]
