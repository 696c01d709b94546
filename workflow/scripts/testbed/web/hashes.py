"""Hashes of images that lists release, so that an image that is no longer the listed one is not used.

Whoever buys an expired domain can serve other images at the URLs of a list (Carlini et al. 2023, arXiv 2302.10149).
"""

import hashlib
from collections.abc import Collection

HASHES = {"sha256": 64, "md5": 32}
"""Hashes that a list may have, and their hexadecimal digits."""

CHANGED = "changed"
"""Cause of failure: the bytes at the URL do not have the hash in the list."""


def expected_column(kind: str) -> str:
    """Return the column of a prepared list that has the hash `kind` of each image's bytes."""
    return f"expected_{kind}"


def hash_in(columns: Collection[str]) -> str | None:
    """Return the kind of hash that a prepared list with these columns has, or None."""
    return next((kind for kind in HASHES if expected_column(kind) in columns), None)


def has_hash(body: bytes, kind: str, expected: str) -> bool:
    """Return whether the hash `kind` of `body` is the `expected` one, in small hexadecimal digits."""
    return hashlib.new(kind, body, usedforsecurity=False).hexdigest() == expected
