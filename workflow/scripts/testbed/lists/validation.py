"""Judge the rows of a released list, a batch at a time: what is plainly good by Arrow, and the rest row by row.

What is good, and why rows are dropped, is said in `testbed.pairs`.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testbed.lists.batches import Batch
from testbed.lists.pairs import clean_caption, identities, url_fault
from testbed.lists.released import Format
from testbed.web.addresses import Network

PLAIN_CAPTION = r"\A(?:[!-~]+ )*(?:[!-~]*(?:[!-su-~]|[!-\[\]-~]t)|t)\z"
"""Printable ASCII between single blanks, with no ``\\t`` (two characters) at the end."""

PLAIN_URL = r"\Ahttps?://(?:[a-z0-9-]+\.)+[a-z]{2,8}(?:[/?#][!-~]*)?\z"
"""What nearly all URLs look like, and of which nothing has to be asked: a name, neither an address nor localhost, whose
top-level domain is of few letters; no port; printable ASCII behind it."""


def validate_batch(
    batch: Batch, format: Format, longest: int, private_networks: Iterable[Network] = ()
) -> tuple[int, list[pa.Array], Counter]:
    """How many rows a batch has; its usable ones (uid, URL, caption, own columns); how many are dropped by which cause.

    Captions of more than `longest` characters are dropped, and addresses that are neither public nor in `private_networks`.
    """
    dropped: Counter = Counter()
    kept = np.ones(len(batch), dtype=bool)

    def drop(cause: str, rows: np.ndarray) -> None:
        dropped[cause] += int((rows & kept).sum())
        kept[rows] = False

    drop("malformed", batch.malformed)
    if format.only:
        _, value, cause = format.only
        drop(cause, masked(pc.not_equal(batch.value, value).fill_null(True)))
    captions, _ = mended(batch.caption, PLAIN_CAPTION, clean_caption)
    lengths = pc.utf8_length(captions).to_numpy()
    drop("empty_caption", lengths == 0)
    drop("long_caption", lengths > longest)
    urls, odd = mended(batch.url, PLAIN_URL, str.strip)
    places = np.flatnonzero(odd & kept)
    for place, url in zip(places, urls.take(pa.array(places)).to_pylist(), strict=True):
        if fault := url_fault(url, private_networks):
            dropped[fault] += 1
            kept[place] = False
    pairs = [urls, captions] if kept.all() else [column.filter(pa.array(kept)) for column in (urls, captions)]
    return len(batch), [uids(*pairs), *pairs, *batch.own_of(kept)], +dropped


def uids(urls: pa.StringArray, captions: pa.StringArray) -> pa.StringArray:
    """The identity of each pair, see `testbed.pairs.uid`."""
    pairs = pc.binary_join_element_wise(urls.cast(pa.binary()), captions.cast(pa.binary()), b"\0")
    digits = identities(pairs.to_pylist()).hex().encode()
    places = np.arange(0, len(digits) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(urls), pa.py_buffer(places), pa.py_buffer(digits))


def mended(texts: pa.StringArray, plain: str, mend: Callable[[str], str]) -> tuple[pa.StringArray, np.ndarray]:
    """The texts, of which those that are not `plain` (a regular expression) are mended, and which these are.

    Null counts as an empty text.
    """
    texts = texts.fill_null("") if texts.null_count else texts
    odd = pc.invert(pc.match_substring_regex(texts, plain))
    if not odd.true_count:
        return texts, masked(odd)
    others = pa.array(map(mend, texts.filter(odd).to_pylist()), pa.string())
    return pc.replace_with_mask(texts, odd, others), masked(odd)


def masked(mask: pa.BooleanArray) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False)
