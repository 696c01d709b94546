"""Samples of tars: members of any order and naming, captions in either place, uids as in a list."""

import json
import os

import pytest

from tars import draw, members_of, sample, write_odd_tars, write_tar
from testbed.lists.pairs import LONGEST_CAPTION
from testbed.local.tar_samples import read_samples


def read(path, caption=None, url="url"):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_samples(descriptor, "a.tar", caption, url)
    finally:
        os.close(descriptor)


def read_members(tmp_path, *members, **options):
    return read(write_tar(tmp_path / "a.tar", list(members)), **options)


def causes(contents):
    return dict(contents.dropped)


def test_a_sample_is_its_image_its_caption_and_its_metadata(tmp_path):
    contents = read_members(tmp_path, *members_of(7))
    (found,) = contents.samples
    entry = sample(7)
    assert (found.key, found.url, found.caption) == (entry["key"], entry["url"], entry["caption"])
    content = (tmp_path / "a.tar").read_bytes()
    assert content[found.offset : found.offset + found.size] == draw(7)
    assert found.metadata == entry
    assert not contents.dropped and not contents.members and not contents.fault


def test_no_oddity_of_naming_or_order_costs_a_sample(tmp_path):
    write_odd_tars(tmp_path, 60)
    contents = [read(path) for path in sorted(tmp_path.rglob("*.tar"))]
    assert sum(len(one.samples) for one in contents) == 60
    assert sum(one.dropped.total() for one in contents) == 0
    assert [one.fault for one in contents if one.fault] == ["has no end mark, as if it were cut between two members"]


IMAGE = ("a.jpg", draw(1))


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([("a.txt", b"a cat")], "no_image"),
        ([("a.json", b"{}")], "no_image"),
        ([IMAGE], "empty_caption"),
        ([IMAGE, ("a.txt", b" \n")], "empty_caption"),
        ([IMAGE, ("a.json", b'{"caption": null}')], "empty_caption"),
        ([IMAGE, ("a.txt", b"x" * (LONGEST_CAPTION + 1))], "long_caption"),
        ([IMAGE, ("a.txt", "é".encode() * (1 << 20))], "long_caption"),
        ([IMAGE, ("a.txt", b"\xff")], "malformed"),
        ([IMAGE, ("a.txt", b"a cat"), ("a.json", b"[1]")], "malformed"),
        ([IMAGE, ("a.txt", b"a cat"), ("a.json", b'{"url": 3}')], "malformed"),
        ([IMAGE, ("a.json", b'{"caption": "\\ud800"}')], "malformed"),
        ([IMAGE, ("a.json", b"[" * 100_000)], "malformed"),
        ([IMAGE, ("a.txt", b"a cat"), ("a.txt", b"a dog")], "repeated_key"),
        ([IMAGE, ("a.txt", b"a cat"), ("a.png", draw(2, "PNG"))], "repeated_key"),
    ],
)
def test_what_is_left_out_has_a_cause(tmp_path, members, cause):
    contents = read_members(tmp_path, *members, *members_of(9))
    assert len(contents.samples) == 1 and set(contents.dropped) == {cause}


def test_a_sample_whose_caption_is_cut_off_is_left_out(tmp_path):
    path = write_tar(tmp_path / "a.tar", [*members_of(1), *members_of(2)])
    content = path.read_bytes()
    # Within the second caption, whose header promises more.
    path.write_bytes(content[: content.rindex(b"thing 2")])
    contents = read(path)
    assert (len(contents.samples), causes(contents)) == (1, {"cut": 1})
    assert contents.fault.startswith("is cut at byte")


def test_the_caption_is_where_the_experiment_says(tmp_path):
    entry = {"caption": "of the crawl", "alt_text": "of the page", "link": "http://a.test/1.jpg"}
    members = [IMAGE, ("a.txt", b"of the file"), ("a.json", json.dumps(entry).encode())]
    assert read_members(tmp_path, *members).samples[0].caption == "of the file"
    assert read_members(tmp_path, *members, caption="alt_text").samples[0].caption == "of the page"
    assert read_members(tmp_path, *members, caption="caption").samples[0].caption == "of the crawl"
    assert read_members(tmp_path, members[0], members[2]).samples[0].caption == "of the crawl"
    assert read_members(tmp_path, *members, url="link").samples[0].url == "http://a.test/1.jpg"
    assert read_members(tmp_path, *members).samples[0].url == ""
