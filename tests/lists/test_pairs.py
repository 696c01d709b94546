"""One pair: its identity, and what makes it usable."""

import hashlib
import ipaddress
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.lists.pairs import CAUSES, clean_caption, clean_url, describe_dropped, uid, url_fault


def test_uid_is_a_hash_of_url_and_caption():
    assert uid("http://a.test/é", "ü") == hashlib.blake2b("http://a.test/é\0ü".encode(), digest_size=16).hexdigest()
    assert len(uid("a", "b")) == 32
    assert uid("ab", "c") != uid("a", "bc")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://a.test/1.jpg", None),
        ("HTTPS://A.test:8080/1.jpg?x=@#y", None),
        ("http://a.test/ä.jpg", None),
        ("http://[2606:4700::1111]/1.jpg", None),
        ("", "bad_url"),
        ("//a.test/1.jpg", "bad_url"),
        ("http:///1.jpg", "bad_url"),
        ("http://", "bad_url"),
        ("http://:80/", "bad_url"),
        ("http://a.test:99999/", "bad_url"),
        ("http://[a.test/", "bad_url"),
        ("http://a.test/1 2.jpg", "bad_url"),
        ("http://a.test/1\x00.jpg", "bad_url"),
        ("http://a.test/1\r\nHost: b", "bad_url"),
        ("http://a.test\\b.test/", "bad_url"),
        ("1http://a.test/", "bad_url"),
        ("ftp://a.test/1.jpg", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("s3://bucket/key", "scheme"),
        ("http://me@a.test/", "credentials"),
        ("http://me:secret@a.test/", "credentials"),
        ("http://[::1]/1.jpg", "private_address"),
        ("http://127.0.0.1/1.jpg", "private_address"),
        ("http://10.0.0.1:8080/1.jpg", "private_address"),
        ("http://2130706433/1.jpg", "private_address"),
        ("http://localhost/1.jpg", "private_address"),
        ("http://169.254.169.254/1.jpg", "private_address"),
        ("http://1.1.1.1/1.jpg", None),
        ("http://1.example/1.jpg", None),
        ("http://[zz::1]/1.jpg", "bad_url"),
    ],
)
def test_faults_of_urls(url, fault):
    assert url_fault(url) == fault


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://10.1.2.3/1.jpg", None),
        ("http://10.1.3.3/1.jpg", "private_address"),
        ("http://167838211:8080/1.jpg", None),
        ("http://localhost/1.jpg", "private_address"),
        ("http://[fd00::5]/1.jpg", None),
        ("http://me@10.1.2.3/1.jpg", "credentials"),
    ],
)
def test_addresses_of_networks_that_are_allowed_are_no_fault(url, fault):
    assert url_fault(url, [ipaddress.ip_network("10.1.2.0/24"), ipaddress.ip_network("fd00::/8")]) == fault


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        (" http://a.test/a b.jpg ", "http://a.test/a%20b.jpg"),
        ('http://a.test/ "#<>?^`{}|', "http://a.test/%20%22#%3C%3E?^%60{}|"),
        ("http://a.test/ <>^`{}|\\'%20%é猫", "http://a.test/%20%3C%3E^%60%7B%7D|/'%20%%C3%A9%E7%8C%AB"),
        ("http://a.test/1?q=a b'\\<>^`{}|?é", "http://a.test/1?q=a%20b%27\\%3C%3E^`{}|?%C3%A9"),
        ("http://a.test/\u00a0\u3000\x00\x1f\x7f.", "http://a.test/%C2%A0%E3%80%80%00%1F%7F."),
        ("http://a.test/1\r\nHost: b", "http://a.test/1Host:%20b"),
        ("http://a.test/\t1.jpg\x00", "http://a.test/1.jpg"),
    ],
)
def test_raw_characters_in_urls_are_encoded_as_a_browser_does(url, encoded):
    """The expected values are those of `new URL(url).href` in Node."""
    assert clean_url(url) == encoded and url_fault(encoded) is None


@pytest.mark.parametrize(
    "url", ["http://a.test/é\"<>`{}\\^|'", "HTTP://A.test/../%7e?é#é", "http://ü.test/1", "no url"]
)
def test_urls_without_blanks_keep_their_identity(url):
    assert clean_url(f"\u3000{url}\n") == url


@pytest.mark.parametrize(
    "url", ["a cat", "http://a .test/1", "http://a.test /1", "http://a\x00.test/1", "//a.test/a b"]
)
def test_blanks_elsewhere_stay_a_fault(url):
    assert url_fault(clean_url(url)) == "bad_url"


def test_what_is_dropped_is_told_with_the_way_out_of_the_main_cause():
    words = describe_dropped({"bad_url": 2, "private_address": 1500, "scheme": 0})
    assert words.startswith("rows dropped: private_address 1,500, bad_url 2. private_address: ")
    assert words.endswith("add their networks to download.private_networks")
    assert all(describe_dropped({cause: 1}).endswith(f"{cause}: {CAUSES[cause]}") for cause in CAUSES)
    assert describe_dropped({}) == "no row is dropped"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a\t cat\r\n sat\u2028here ", "a cat sat here"),
        ("a cat\\t", "a cat"),
        ("a cat \\t \\t\\t ", "a cat"),
        ("\\t a \\t cat", "\\t a \\t cat"),
        ("a\x00b\x1fc\x7fd\x9fe", "a b c d e"),
        ("\\t" * 500_000 + "x", "\\t" * 500_000 + "x"),
        ("naïve 猫 😊", "naïve 猫 😊"),
        ("\\t", ""),
        ("\u200b", ""),
        (" \ufeff \u200d\u2060\u00ad\u2800\u3164\ufe0f\\t", ""),
        ("a\u200bcat\u200d", "a\u200bcat\u200d"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\u200b.", "\u200b."),
    ],
)
def test_captions_are_cleaned(text, clean):
    assert clean_caption(text) == clean


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(st.text(st.sampled_from([*"ab \t\n\\t", "\x00", "\x85", "\u00a0", "\u2028", "\u3000", "é", "猫", "\ud800"])))
def test_captions_are_cleaned_by_the_same_rule_whatever_they_hold(text):
    wanted = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text)
    assert clean_caption(text) == re.sub(r"(?:\\t| )*$", "", wanted.lstrip(" "))


def test_no_white_space_but_the_blank_is_printable():
    blanks = [
        character for character in map(chr, range(sys.maxunicode + 1)) if re.match(r"[\s\x00-\x1f\x7f-\x9f]", character)
    ]
    assert [blank for blank in blanks if blank.isprintable()] == [" "]
