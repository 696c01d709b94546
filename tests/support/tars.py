"""Tars of images and captions for tests, in the forms that other tools write, and with every oddity that is no fault."""

import csv
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import webdataset
from PIL import Image
from pyarrow import parquet

from mini_parts import draw_jpeg


def sample(number: int) -> dict:
    """The metadata of one sample as img2dataset writes them; its image is `draw_jpeg` of its URL."""
    url = f"http://photos.test/{number}.jpg"
    caption = f'a "photo" of thing {number}, süß'
    sizes = {"width": 8, "height": 8, "original_width": 640, "original_height": 480}
    return {"url": url, "caption": caption, "key": f"{number:09d}", "status": "success", **sizes}


def draw(number: int, form: str = "JPEG", size: tuple[int, int] = (48, 64)) -> bytes:
    """An image that no other number has."""
    image = Image.open(io.BytesIO(draw_jpeg(str(number)))).convert("RGB").resize(size)
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def write_tar(path: Path, members: Sequence[tuple[str, bytes]] | Mapping[str, bytes], **options) -> Path:
    """Write a tar file with `members`, pairs of name and content, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def members_of(number: int, key: str | None = None, **metadata) -> list[tuple[str, bytes]]:
    """The three members of a plain sample."""
    entry = sample(number) | metadata
    key = key or entry["key"]
    return [
        (f"{key}.jpg", draw(number)),
        (f"{key}.json", json.dumps(entry).encode()),
        (f"{key}.txt", entry["caption"].encode()),
    ]


def write_hub_tars(folder: Path, count: int, per_tar: int = 100) -> None:
    """Tars as the Hub's cc12m-wds has them, by webdataset's own writer."""
    folder.mkdir(parents=True)
    with webdataset.ShardWriter(str(folder / "cc12m-train-%04d.tar"), maxcount=per_tar, verbose=0) as writer:
        for number in range(count):
            entry = sample(number)
            writer.write({"__key__": entry["key"], "jpg": draw(number), "txt": entry["caption"], "json": entry})


def write_odd_tars(folder: Path, count: int) -> None:
    """`count` samples in tars with every oddity that tools and people produce, and that costs no sample."""
    numbers = iter(range(count))

    def take(wanted: int) -> list[int]:
        return [number for _, number in zip(range(wanted), numbers, strict=False)]

    # Images first, then captions, then metadata; gaps in numbering.
    plain = [members_of(number) for number in take(20)]
    write_tar(folder / "00000.tar", [members[kind] for kind in range(3) for members in plain])
    # Keys with dots, folders in names, a name too long for a plain header, in each format of tar.
    for name, options in {
        "00002.tar": {"format": tarfile.PAX_FORMAT},
        "00003.tar": {"format": tarfile.GNU_FORMAT},
        "more/00003.tar": {"format": tarfile.USTAR_FORMAT},
    }.items():
        keys = ["a.b.c", "./x/photo.v2", "train/" + "folder/" * 20 + "photo", "Übung 1", "no. 5"]
        members = [members_of(number, key) for key, number in zip(keys, take(5), strict=False)]
        write_tar(folder / name, [member for three in members for member in three], **options)
    # Suffixes in capitals, PNG and WebP, an image whose suffix is wrong, and members that are no part of a sample.
    forms = [("k.JPG", "JPEG"), ("l.jpeg", "JPEG"), ("m.png", "PNG"), ("n.webp", "WEBP"), ("o.jpg", "PNG")]
    mixed = [("README", b"about"), ("k.cls", b"3"), ("k.thumb", b"x"), ("._k.jpg", b"mac"), ("data.pkl", b"\x80\x04N.")]
    for (name, form), number in zip(forms, take(5), strict=False):
        key = name.rpartition(".")[0]
        mixed += [(f"{key}.txt", sample(number)["caption"].encode()), (name, draw(number, form))]
    write_tar(folder / "00004.tar", mixed)
    # The caption in the metadata alone; a caption with a byte order mark; images larger than they are stored.
    captions = [members_of(number)[:2] for number in take(5)]
    captions += [
        [(f"q{number}.txt", b"\xef\xbb\xbfcaption"), (f"q{number}.jpg", draw(number, size=(300, 90)))]
        for number in take(5)
    ]
    write_tar(folder / "00005.tar", [member for members in captions for member in members])
    # No sample at all, and no end.
    write_tar(folder / "00006.tar", [])
    rest = [member for number in numbers for member in members_of(number)]
    whole = write_tar(folder / "00007.tar", rest)
    whole.write_bytes(whole.read_bytes().rstrip(b"\0") + bytes(-len(whole.read_bytes().rstrip(b"\0")) % 512))


def run_img2dataset(urls: Path, folder: Path, proxy: str, image_size: int = 40, per_tar: int = 100) -> None:
    """Fetch a list (CSV with url and caption) as tars by img2dataset's own command."""
    command = [
        *(Path(sys.executable).with_name("img2dataset"), "--url_list", urls, "--input_format", "csv"),
        *("--url_col", "url", "--caption_col", "caption", "--output_format", "webdataset", "--output_folder", folder),
        *("--image_size", image_size, "--resize_mode", "keep_ratio", "--resize_only_if_bigger", True),
        *("--number_sample_per_shard", per_tar, "--processes_count", 1, "--thread_count", 8),
    ]
    environment = {"http_proxy": proxy, "NO_ALBUMENTATIONS_UPDATE": "1", "PATH": "/usr/bin:/bin"}
    subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True, timeout=600)


def write_folder(folder: Path, count: int) -> None:
    """`count` samples as files: images and captions, in folders, with all suffixes, and with other files beside them."""
    for number in range(count):
        form = ("jpg", "JPEG"), ("jpeg", "JPEG"), ("PNG", "PNG"), ("webp", "WEBP")
        suffix, kind = form[number % 4]
        place = folder / f"{number % 3}" / ("deep.er" if number % 2 else "")
        place.mkdir(parents=True, exist_ok=True)
        name = f"photo no. {number:05d}"
        (place / f"{name}.{suffix}").write_bytes(draw(number, kind))
        (place / f"{name}.txt").write_text(sample(number)["caption"] + "\n", encoding="utf-8")
        if number % 5 == 0:
            (place / f"{name}.json").write_text(json.dumps(sample(number)))
    (folder / "README.md").write_text("about")


def write_path_list(path: Path, count: int) -> None:
    """`count` images in a folder beside the list `path` (CSV, TSV or parquet) with their paths, captions and URLs."""
    rows = []
    (path.parent / "pictures").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = path.parent / "pictures" / f"{number}.jpg"
        image.write_bytes(draw(number))
        entry = sample(number)
        # One path is absolute.
        where = str(image.absolute()) if number == 1 else f"pictures/{number}.jpg"
        rows.append({"path": where, "text": entry["caption"], "url": entry["url"], "likes": number})
    table = pa.Table.from_pylist(rows)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
        return
    with open(path, "w", newline="", encoding="utf-8") as file:
        dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None} if path.suffix == ".tsv" else {}
        writer = csv.writer(file, **dialect)
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
