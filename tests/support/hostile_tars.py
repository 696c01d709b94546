"""Tars that are damaged or made to do harm: a generated set, each one with a known number of samples at most."""

import io
import os
import pickle
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tars import members_of, write_tar

Members = list[tuple[str, bytes]]
BLOCK = 512


class Harm:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@dataclass
class Hostile:
    """A hostile tar: its path, the kind of its fault, and the images of samples that it was made with."""

    path: Path
    kind: str
    images: int


def plain(path: Path, chance: random.Random, **options) -> int:
    """A sound tar of some samples; returns their number."""
    count = chance.randrange(2, 6)
    members = [member for number in range(count) for member in members_of(chance.randrange(10**6), f"{number:05d}")]
    write_tar(path, members, **options)
    return count


def cut(path: Path, chance: random.Random) -> int:
    count = plain(path, chance)
    os.truncate(path, chance.randrange(path.stat().st_size))
    return count


def damaged(path: Path, chance: random.Random) -> int:
    count = plain(path, chance)
    content = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 30)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    return count


def swapped(path: Path, chance: random.Random) -> int:
    """Blocks in another order."""
    count = plain(path, chance)
    content = path.read_bytes()
    blocks = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]
    one, other = chance.sample(range(len(blocks)), 2)
    blocks[one], blocks[other] = blocks[other], blocks[one]
    path.write_bytes(b"".join(blocks))
    return count


def traversal(path: Path, chance: random.Random) -> int:
    names = ["../../outside", "/etc/passwd", "..", "a/../../outside", "\\\\server\\share", "C:\\x", "a\nb", "a\x01b"]
    members = [member for number, name in enumerate(names) for member in members_of(number, f"{name}{number}")]
    write_tar(path, members)
    return len(names)


def special_members(path: Path, chance: random.Random) -> int:
    """Links, devices and pipes with the names of images and captions, and content lengths that they do not have."""
    count = plain(path, chance)
    kinds = [
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        b"S",
        b"V",
    ]
    with tarfile.open(path, "a") as archive:
        for number, kind in enumerate(chance.sample(kinds, 4)):
            for suffix in ("jpg", "txt"):
                member = tarfile.TarInfo(f"special{number}.{suffix}")
                member.type, member.linkname = kind, chance.choice(["/etc/passwd", "../outside", "00000.jpg"])
                archive.addfile(member)
    return count


def long_headers(path: Path, chance: random.Random) -> int:
    """A pax or GNU header of many bytes, or with records that are none."""
    count = plain(path, chance)
    records = [
        b"9999999999 path=x\n",
        b"-1 size=5\n",
        b"12 size=99999999999999999999\n",
        chance.randbytes(300),
        bytes(70_000),
    ]
    content, kind = chance.choice(records), chance.choice([b"x", b"L", b"g", b"K"])
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, len(content)
    header = member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK)
    sound = path.read_bytes()
    place = chance.choice([0, len(sound.rstrip(b"\0")) // BLOCK * BLOCK + BLOCK])
    path.write_bytes(sound[:place] + header + sound[place:])
    return count


def repeated_keys(path: Path, chance: random.Random) -> int:
    members = [member for _ in range(3) for member in members_of(chance.randrange(10**6), "same")]
    chance.shuffle(members)
    write_tar(path, [*members_of(1, "other"), *members])
    return 4


def wrong_lengths(path: Path, chance: random.Random) -> int:
    count = plain(path, chance)
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        start = chance.choice(archive.getmembers()).offset
    size = chance.choice([0, 1, 511, 513, 10**6, 2**33 - 1])
    content[start + 124 : start + 136] = b"%011o\0" % size
    content[start + 148 : start + 156] = b" " * 8
    content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + BLOCK])
    path.write_bytes(content)
    return count


def other_files(path: Path, chance: random.Random) -> int:
    """A file that is no tar."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members_of(1):
            archive.writestr(name, content)
    harm = pickle.dumps(Harm("touch outside_was_touched"))
    path.write_bytes(
        chance.choice([file.getvalue(), b"", harm, chance.randbytes(5000), bytes(5000), b"\x1f\x8b" + bytes(600)])
    )
    return 0


def pickles(path: Path, chance: random.Random) -> int:
    """Members that harm whom they are unpickled by, beside sound samples, and in their place."""
    harm = pickle.dumps(Harm("touch outside_was_touched"))
    suffixes = ["pkl", "pickle", "pyd", "pth", "npy", "cls", "jpg", "txt", "json"]
    write_tar(path, members_of(1) + [(f"00000000{number}x.{suffix}", harm) for number, suffix in enumerate(suffixes)])
    return 2


def bad_texts(path: Path, chance: random.Random) -> int:
    texts = [
        b"\xff\xfe\x00",
        b"",
        b" \t\n",
        b"x" * 3000,
        b"[" * 100_000,
        b"null",
        b"{}",
        b'{"caption": 5}',
        b'{"caption"',
    ]
    texts += [b'{"caption": "\\ud800"}', b'{"caption": null, "url": []}', b"9" * 6000, bytes(2 << 20)]
    members = []
    for number, text in enumerate(texts):
        members += [members_of(number, f"{number}")[0], (f"{number}.{chance.choice(['txt', 'json'])}", text)]
    write_tar(path, members)
    return len(texts)


def bad_images(path: Path, chance: random.Random) -> int:
    sound = members_of(1)[0][1]
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    data = b"\0\0\0\x04IDAT" + bytes(8)
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + data
    images = [
        b"",
        sound[:100],
        sound[:-40],
        chance.randbytes(700),
        bomb,
        b"GIF89a" + bytes(60),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"BM",
    ]
    members = []
    for number, image in enumerate(images):
        members += [(f"{number}.jpg", image), (f"{number}.txt", b"a caption")]
    write_tar(path, members)
    return len(images)


KINDS: list[Callable[[Path, random.Random], int]] = [
    *(cut, damaged, swapped, traversal, special_members, long_headers, repeated_keys, wrong_lengths),
    *(other_files, pickles, bad_texts, bad_images),
]


def write_hostile_tars(folder: Path, count: int) -> list[Hostile]:
    """Write `count` hostile tars of all kinds in turn."""
    tars = []
    for number in range(count):
        make = KINDS[number % len(KINDS)]
        path = folder / f"{number:05d}.tar"
        tars.append(Hostile(path, make.__name__, make(path, random.Random(number))))
    return tars
