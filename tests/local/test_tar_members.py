"""The reader of tar files against Python's own, on all formats, and on files that are cut, damaged or no tar at all."""

import io
import os
import random
import tarfile

import pytest

from tars import write_tar
from testbed.local.tar_members import BLOCK, TarFault, TarReader, number_in, pax_records

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "folder/" * 30


def read(path) -> tuple[list[tuple], str]:
    """The plain files of a tar (name, offset, size), and why it cannot be read to its end."""
    descriptor, members, fault = os.open(path, os.O_RDONLY), [], ""
    try:
        for member in TarReader(descriptor).members():
            if member.is_file:
                members.append((member.name, member.offset, member.size))
    except TarFault as error:
        fault = str(error)
    finally:
        os.close(descriptor)
    return members, fault


def read_by_tarfile(path) -> list[tuple]:
    with tarfile.open(path, "r:") as archive:
        return [(member.name, member.offset_data, member.size) for member in archive if member.isfile()]


@pytest.mark.parametrize("form", FORMATS)
def test_members_are_those_that_tarfile_finds(tmp_path, form):
    chance = random.Random(form)
    names = ["a.jpg", "./b.jpg", "c d.txt", "ä.txt", "x" * 99, "y" * 100, "d/" + "z" * 98, LONG[:150] + "/x.jpg"]
    names += [LONG + "x.jpg", "w" * 300] if form != "ustar" else []
    members = [(name, chance.randbytes(chance.choice([0, 1, 511, 512, 513, 40_000]))) for name in names]
    path = write_tar(tmp_path / "a.tar", members, format=FORMATS[form])
    assert read(path) == (read_by_tarfile(path), "")
    assert [name for name, _, _ in read(path)[0]] == names


def special(kind: bytes, name: str, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("form", FORMATS)
def test_links_devices_and_folders_are_no_files(tmp_path, form):
    path = tmp_path / "a.tar"
    kinds = [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    with tarfile.open(path, "w", format=FORMATS[form]) as archive:
        for number, kind in enumerate(kinds):
            archive.addfile(special(kind, f"{number}.jpg", "/etc/passwd"))
        member = tarfile.TarInfo("last.txt")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"end"))
    assert read(path) == (read_by_tarfile(path), "")
    assert [name for name, _, _ in read(path)[0]] == ["last.txt"]


def test_joined_tars_are_read_to_the_end(tmp_path):
    one = write_tar(tmp_path / "one.tar", {"a.txt": b"1"})
    two = write_tar(tmp_path / "two.tar", {"b.txt": b"2"})
    (tmp_path / "both.tar").write_bytes(one.read_bytes() + two.read_bytes())
    members, fault = read(tmp_path / "both.tar")
    assert [name for name, _, _ in members] == ["a.txt", "b.txt"] and not fault


def test_a_cut_tar_gives_what_is_before_the_cut(tmp_path):
    whole = write_tar(tmp_path / "a.tar", {f"{number}.txt": bytes(700) for number in range(3)}).read_bytes()
    starts = [offset - BLOCK for _, offset, _ in read(tmp_path / "a.tar")[0]]
    for length in range(1, 3 * (BLOCK + 1024), 300):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        members, fault = read(tmp_path / "cut.tar")
        assert len(members) == sum(start + BLOCK <= length for start in starts)
        assert fault.startswith(("is cut at byte", "is no tar file", "has no end mark"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(2000), "is a zip archive"),
        (b"\x1f\x8b" + bytes(2000), "is compressed (gzip)"),
        (b"BZh9" + bytes(2000), "is compressed (bzip2)"),
        (b"\x28\xb5\x2f\xfd" + bytes(2000), "is compressed (zstd)"),
        (b"\x80\x04\x95" + bytes(2000), "is no tar file"),
        (b"<html>not found</html>" * 100, "is no tar file"),
    ],
)
def test_what_is_no_tar_is_told(tmp_path, content, words):
    (tmp_path / "a.tar").write_bytes(content)
    assert read(tmp_path / "a.tar")[0] == []
    assert words in read(tmp_path / "a.tar")[1]


def header_of(path) -> bytearray:
    return bytearray(path.read_bytes())


def with_checksum(content: bytearray, start: int = 0) -> bytes:
    content[start + 148 : start + 156] = b" " * 8
    content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + BLOCK])
    return bytes(content)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (b"\xff" * 12, "damaged"),
        (b"-0000000010\0", "damaged"),
        (b"99999999999\0", "damaged"),
        (b"77777777777\0", "cut"),
        (b"\x80\0\0\0\x7f" + b"\xff" * 7, "cut"),
    ],
    ids=["negative", "signed", "not octal", "8 GB", "exabytes"],
)
def test_a_wrong_length_reads_nothing_beyond_the_file(tmp_path, field, words):
    path = write_tar(tmp_path / "a.tar", {"a.txt": b"1", "b.txt": b"2"})
    content = header_of(path)
    content[1024 + 124 : 1024 + 136] = field
    path.write_bytes(with_checksum(content, 1024))
    assert words in read(path)[1]


def test_a_huge_extended_header_is_not_read(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, {"x" * 70_000 + ".jpg": b"1"}, format=tarfile.GNU_FORMAT)
    assert read(path) == ([], f"has a header of 70,005 bytes at byte 0 of {path.stat().st_size:,}")


def test_numbers_and_records_of_headers():
    assert [number_in(field) for field in (b"0000017\0", b"   17 \0\0", bytes(8), b"\x80" + bytes(6) + b"\x11")] == [
        15,
        15,
        0,
        17,
    ]
    assert number_in(b"\xff" * 8) is None and number_in(b"12a\0") is None
    assert list(pax_records(b"12 path=ab=\n11 size=12\n")) == [(b"path", b"ab="), (b"size", b"12")]
    for broken in (b"", b"path=a\n", b"99 path=a\n", b"0 path=a\n", b"-5 path=a\n", b"\xff\xff 3"):
        assert list(pax_records(broken)) == []
