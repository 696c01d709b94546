"""One pair of an image URL and a caption: its identity, and whether it is usable.

Surrounding white space and a trailing literal ``\\t`` (two characters, an artefact of some released lists) are stripped
from a caption. White space and control characters inside it become single blanks. "NA" and "null" are ordinary captions.
A caption without a visible character is empty. A URL is used as released, without surrounding white space. Only if it has
blanks or control characters, it is percent-encoded.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import partial
from operator import itemgetter
from urllib.parse import quote, urlsplit

from testbed.web.addresses import Network, is_public, literal_address

LONGEST_CAPTION = 2000
"""Characters. Longer texts are whole pages, and a model reads only some tens of tokens."""

CAUSES = {
    "malformed": "rows do not have the columns of the format; correct metadata.format",
    "language": "the format keeps rows in English only; use another list, or the format tsv",
    "nsfw": "the format keeps rows with NSFW = UNLIKELY only; use another list, or the format parquet",
    "empty_caption": "rows have no caption; correct metadata.format or metadata.columns",
    "long_caption": f"captions have more than {LONGEST_CAPTION} characters; correct metadata.format or metadata.columns",
    "bad_url": "rows have no URL where the format has it; correct metadata.format or metadata.columns",
    "scheme": "only http and https are fetched; correct the URLs of the list",
    "credentials": "URLs hold a user name or a password; remove it from the list",
    "private_address": "addresses are not public; add their networks to download.private_networks",
    "duplicate": "rows repeat the URL and caption of an earlier row; use a longer list",
}
"""Causes for which a row of a released list is dropped, in the order of the checks, and what to do if many are dropped."""

PARQUET = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
"""Options for writing pairs. Nearly all texts differ, so dictionaries and statistics would only cost time."""

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_STRIPPED = "".join(map(chr, range(33)))
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_INVISIBLE = re.compile(
    r"[\u2800\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""White space, the blank Braille pattern, and Unicode's Default_Ignorable_Code_Point, which are shown as nothing: zero-width
characters, soft hyphens, marks of direction, variation selectors, Hangul fillers."""

_URL = re.compile(r"([^/?#]*://[^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_KEPT = "!$%&'()*+,-./:;=@[]^_|~\\"
"""ASCII that a browser leaves as it is in a path, by the URL Standard (url.spec.whatwg.org), beside letters and digits."""


class ListError(ValueError):
    """A released list cannot be read in the format that the experiment names."""


def uid(url: str, caption: str) -> str:
    """Return the identity of a pair: 128 bits of BLAKE2b over the URL, a zero byte and the caption, as 32 hex digits.

    Raises UnicodeEncodeError if a text has a lone surrogate.
    """
    return identities([f"{url}\0{caption}".encode()]).hex()


def identities(pairs: Iterable[bytes]) -> bytes:
    """Return the identities of many pairs (URL, zero byte, caption), 16 bytes each; see `uid`."""
    return b"".join([hashed.digest() for hashed in map(partial(hashlib.blake2b, digest_size=16), pairs)])


def describe_dropped(dropped: Mapping[str, int]) -> str:
    """Return as text how many rows are dropped by cause, the most frequent first, and what to do about that cause."""
    counts = sorted(((count, cause) for cause, count in dropped.items() if count), key=itemgetter(0), reverse=True)
    if not counts:
        return "no row is dropped"
    main = counts[0][1]
    return f"rows dropped: {', '.join(f'{cause} {count:,}' for count, cause in counts)}. {main}: {CAUSES[main]}"


def is_text(cell: str | None) -> bool:
    """Return whether a cell is None or a text without lone surrogates, which could not be written."""
    try:
        return cell is None or cell.encode() is not None
    except UnicodeEncodeError:
        return False


def clean_caption(text: str) -> str:
    """Return the caption without artefacts, on one line; see the module's docstring for the rules."""
    # The blank is the only printable white space.
    if not text.isprintable() or "  " in text:
        text = _BLANKS.sub(" ", text)
    text = text.strip()
    end = len(text)
    while text.endswith((r"\t", " "), 0, end):
        end -= 1 if text[end - 1] == " " else 2
    return "" if _INVISIBLE.fullmatch(text, 0, end) else text[:end]


def clean_url(text: str) -> str:
    """Return the URL without surrounding white space, with what a browser would encode encoded if a blank is inside.

    Other URLs stay as they are, whatever they hold: a changed URL would change the identity of its pair.
    """
    text = text.strip()
    if not _BLANKS.search(text):
        return text
    # The steps of the URL Standard for http and https: strip, remove, split, encode.
    text = re.sub(r"[\t\n\r]", "", text.strip(_STRIPPED))
    parts = _URL.fullmatch(text)
    if not parts:
        return text
    start, path, query, fragment = (part or "" for part in parts.groups())
    path = quote(path.replace("\\", "/"), _KEPT)
    return start + path + quote(query, _KEPT.replace("'", "") + "?`{}") + quote(fragment, _KEPT + "#?{}")


def url_fault(url: str, private_networks: Iterable[Network] = ()) -> str | None:
    """Return why the URL is not fetched (bad_url, scheme, credentials or private_address), or None if it is fetched.

    Addresses in `private_networks` are fetched although they are not public.
    """
    if _BLANKS.search(url):
        return "bad_url"
    scheme, separator, _ = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return "bad_url"
    if scheme.lower() not in ("http", "https"):
        return "scheme"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "bad_url"
    if "@" in parts.netloc:
        return "credentials"
    # A backslash ends the host for some clients and not for others, so the host is ambiguous.
    if not host or "\\" in parts.netloc:
        return "bad_url"
    address = literal_address(host)
    try:
        return None if address is None or is_public(address, private_networks) else "private_address"
    except ValueError:
        return "bad_url"
