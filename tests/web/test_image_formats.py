"""What the download stage makes of the kinds of images that the web has: the table of docs/downloads.md, file by file."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image, ImageOps
from pyarrow import parquet

import mini_parts
from example_downloads import PATIENT
from hostile import HostileServer
from pages import ROOT, tables
from testbed.records.manifest import read_json, write_json
from web_images import KINDS, picture, turned

NEAR = 4
"""Largest difference of a colour: files with losses, and JPEG as the stored format, move it."""

FORMATS = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "TIFF": {}}
TURNED = {(form, side): turned(form, side, **FORMATS[form]) for form in FORMATS for side in range(1, 9)}


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the quarters of `image`, left to right and top down."""
    image, (width, height) = image.convert("RGB"), image.size
    return [image.getpixel((x, y)) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


@pytest.fixture(scope="module")
def download(fetch, tmp_path_factory):
    """A function that downloads files, as by the rule; returns a row of outcomes and the stored image for each."""

    def download(files: list[bytes], **options) -> list[tuple[dict, bytes | None]]:
        folder = tmp_path_factory.mktemp("formats")
        server = HostileServer(files={f"file{number}": content for number, content in enumerate(files)})
        urls = [server.url(name) for name in server.files]
        mini_parts.write_part(folder / "part.parquet", urls)
        request = {"part": folder / "part.parquet", "folder": folder / "00000", "pages": []}
        try:
            fetch(**request, options=PATIENT | options)
        finally:
            server.close()
        outcomes = parquet.read_table(folder / "00000" / "00000.parquet").to_pylist()
        assert [row["url"] for row in outcomes] == urls
        with tarfile.open(folder / "00000" / "00000.tar") as tar:
            images = {member.name: tar.extractfile(member).read() for member in tar}
        return [(row, images.get(f"{row['key']}.jpg")) for row in outcomes]

    return download


@pytest.fixture(scope="module")
def stored(download):
    """What a download with the default settings makes of each kind."""
    return dict(zip(KINDS, download([file() for file, _ in KINDS.values()]), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_becomes_what_the_table_says(stored, kind):
    row, content = stored[kind]
    expected = KINDS[kind][1]
    if isinstance(expected, str):
        assert (row["cause"], content) == (expected, None)
        return
    assert row["cause"] == "success"
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG" and image.mode in ("RGB", "L")
    np.testing.assert_allclose(corners(image), expected, atol=NEAR)


def test_the_documentation_has_each_kind():
    rows = [row[0] for row in tables(ROOT / "docs" / "downloads.md")["Formats"]]
    assert rows == list(KINDS)


@pytest.fixture(scope="module")
def upright(download):
    return dict(zip(TURNED, download(list(TURNED.values())), strict=True))


@pytest.mark.parametrize("side", range(1, 9))
@pytest.mark.parametrize("form", FORMATS)
def test_images_are_turned_as_their_exif_data_say(upright, form, side):
    row, content = upright[form, side]
    # Pillow turns it by its own rule; TIFF it turns at once.
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(TURNED[form, side])))
    image = Image.open(io.BytesIO(content))
    assert wanted.size == (row["original_width"], row["original_height"])
    assert image.size == (row["width"], row["height"]) == ((40, 60) if wanted.height > wanted.width else (60, 40))
    np.testing.assert_allclose(corners(image), corners(wanted), atol=NEAR)
    # The stored image is as it is seen, so that no reader turns it once more.
    assert not image.getexif()


def test_without_rotation_images_are_stored_as_they_lie_in_the_file(download, upright):
    flat = dict(zip(TURNED, download(list(TURNED.values()), rotate=False), strict=True))
    for (form, side), (_, content) in flat.items():
        # OpenCV turns TIFF by itself.
        same = form == "TIFF" or side == 1
        assert (content == upright[form, side][1]) is same, (form, side)
        if form != "TIFF":
            np.testing.assert_allclose(corners(Image.open(io.BytesIO(content))), corners(picture()), atol=NEAR)


def test_images_that_need_no_turn_are_stored_as_by_img2dataset_alone(stored, monkeypatch):
    """Byte by byte, but for those with more than 8 bits, which img2dataset stores white."""
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")
    from img2dataset.resizer import Resizer

    options = {"encode_quality": PATIENT["quality"], "min_image_size": PATIENT["minimum_size"]}
    resizer = Resizer(PATIENT["image_size"], "keep_ratio", True, **options)
    white = {}
    for kind, (row, content) in stored.items():
        if row["cause"] == "success":
            alone = resizer(io.BytesIO(KINDS[kind][0]()))[0]
            white[kind] = np.asarray(Image.open(io.BytesIO(alone))).min() > 250
            assert (alone == content) is ("bits" not in kind), kind
    assert {kind for kind, is_white in white.items() if is_white} == {k for k in white if "16 bits" in k}


def test_data_that_is_no_exif_is_no_reason_to_lose_an_image(download):
    content = turned("JPEG", 6, quality=95)
    start = content.index(b"Exif\0\0") + 6
    files = [content[: start + cut] + b"\xff" * 8 + content[start + cut + 8 :] for cut in (0, 4, 8, 10)]
    assert [row["cause"] for row, _ in download(files)] == ["success"] * 4


def test_another_rotation_is_refused_and_nothing_is_lost(fetch, copied):
    folder = copied["folder"]
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    request = copied | {"options": copied["options"] | {"rotate": False}}
    answer = fetch(**request)
    assert "was fetched with download.rotate: true. Set it back to that" in answer["error"]
    assert answer["visits"] == {} and before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_records_from_before_the_key_are_those_without_rotation(fetch, fetched, tmp_path):
    request = fetched[0] | {"folder": tmp_path / "00000"}
    flat = request | {"options": request["options"] | {"rotate": False}}
    manifest = fetch(**flat)["manifest"]
    assert set(manifest["storage"]) == {"image_size", "quality", "minimum_size"}
    for chunk in range(3):
        path = tmp_path / "00000" / f"0000{chunk}.json"
        write_json(path, read_json(path) | {"sharded": True})
    assert fetch(**flat)["visits"] == {}
    assert "was fetched with download.rotate: false. Set it back to that" in fetch(**request)["error"]
