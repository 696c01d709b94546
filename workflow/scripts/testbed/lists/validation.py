"""Validate the rows of a released list in batches. Arrow checks ordinary texts; Python checks the others row by row.

The rules are in `testbed.lists.pairs`.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testbed.lists.batches import Batch
from testbed.lists.formats import Format
from testbed.lists.pairs import clean_caption, clean_url, identities, url_fault
from testbed.web.addresses import Network
from testbed.web.hashes import HASHES

PLAIN_CAPTION = r"\A(?:[!-~]+ )*(?:[!-~]*(?:[!-su-~]|[!-\[\]-~]t)|t)\z"
"""Printable ASCII between single blanks, with no ``\\t`` (two characters) at the end."""

PLAIN_URL = r"\Ahttps?://(?:[a-z0-9-]+\.)+[a-z]{2,8}(?:[/?#][!-~]*)?\z"
"""Nearly all URLs match this pattern and need no further check: a host name with a short top-level domain (no address, no
localhost), no port, then printable ASCII."""


def validate_batch(
    batch: Batch, format: Format, longest: int, private_networks: Iterable[Network] = ()
) -> tuple[int, list[pa.Array], Counter]:
    """Return the number of rows of a batch, the columns of its usable rows, and the number of dropped rows by cause.

    The columns are uid, URL, caption, the list's own ones and, if `format` has one, the hash.

    Rows are dropped if the caption has more than `longest` characters, or if the URL has an address that is neither public
    nor in `private_networks`.
    """
    dropped: Counter = Counter()
    kept = np.ones(len(batch), dtype=bool)

    def drop(cause: str, rows: np.ndarray) -> None:
        dropped[cause] += int((rows & kept).sum())
        kept[rows] = False

    drop("malformed", batch.malformed)
    if format.only and batch.value is not None:
        _, value, cause = format.only
        drop(cause, masked(pc.not_equal(batch.value, value).fill_null(True)))
    captions, _ = cleaned(batch.caption, PLAIN_CAPTION, clean_caption)
    lengths = pc.utf8_length(captions).to_numpy()
    drop("empty_caption", lengths == 0)
    drop("long_caption", lengths > longest)
    urls, unusual = cleaned(batch.url, PLAIN_URL, clean_url)
    places = np.flatnonzero(unusual & kept)
    for place, url in zip(places, urls.take(pa.array(places)).to_pylist(), strict=True):
        if fault := url_fault(url, private_networks):
            dropped[fault] += 1
            kept[place] = False
    pairs = [urls, captions] if kept.all() else [column.filter(pa.array(kept)) for column in (urls, captions)]
    columns = [uids(*pairs), *pairs, *batch.own_of(kept)]
    if format.hash:
        columns.append(checked_hashes(batch.hash.filter(pa.array(kept)), format.hash[0]))
    return len(batch), columns, +dropped


def checked_hashes(hashes: pa.StringArray, kind: str) -> pa.StringArray:
    """Return hashes in small letters; null where there is no hash of this kind."""
    hashes = pc.ascii_lower(pc.utf8_trim_whitespace(hashes))
    return pc.if_else(
        pc.match_substring_regex(hashes, rf"\A[0-9a-f]{{{HASHES[kind]}}}\z"), hashes, pa.scalar(None, pa.string())
    )


def uids(urls: pa.StringArray, captions: pa.StringArray) -> pa.StringArray:
    """Return the identity of each pair, see `testbed.lists.pairs.uid`."""
    pairs = pc.binary_join_element_wise(urls.cast(pa.binary()), captions.cast(pa.binary()), b"\0")
    digits = identities(pairs.to_pylist()).hex().encode()
    places = np.arange(0, len(digits) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(urls), pa.py_buffer(places), pa.py_buffer(digits))


def cleaned(texts: pa.StringArray, plain: str, clean: Callable[[str], str]) -> tuple[pa.StringArray, np.ndarray]:
    """Return the texts, and a mask of those that do not match the regular expression `plain`, to which `clean` was applied.

    Null counts as an empty text.
    """
    texts = texts.fill_null("") if texts.null_count else texts
    unusual = pc.invert(pc.match_substring_regex(texts, plain))
    if not unusual.true_count:
        return texts, masked(unusual)
    others = pa.array(map(clean, texts.filter(unusual).to_pylist()), pa.string())
    return pc.replace_with_mask(texts, unusual, others), masked(unusual)


def masked(mask: pa.BooleanArray) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False)
