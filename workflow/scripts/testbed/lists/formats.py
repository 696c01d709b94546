"""The formats of released image-caption lists."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from testbed.lists.pairs import ListError
from testbed.web.hashes import HASHES


@dataclass(frozen=True)
class Format:
    """The format of a list.

    `container` is lines (tab-separated, no quoting), csv (RFC 4180), json (RedCaps), jsonl (an object in each line),
    parquet or yfcc100m (photo ids in the file `subset`, joined with metadata). `url` and `caption` are columns or, in
    jsonl and parquet, places in them (`testbed.lists.places`). `columns` names the columns of a list without a header.
    `only` is a column, the value to keep, and the cause for dropping other rows; files that have the column `instead` may
    lack it. `unquote` removes the quotes of cells that a CSV writer quoted; it never joins lines. `several` says which
    caption of a column with lists of captions is taken. `spellings` are the names that different releases give to the
    same column. `hash` is "sha256" or "md5", and the column with this hash of the image's bytes; or `hashes` are files
    with hashes, which are joined by URL.
    """

    container: str
    url: str = "url"
    caption: str = "caption"
    columns: tuple[str, ...] = ()
    only: tuple[str, str, str] | None = None
    unquote: bool = False
    several: str = "first"
    spellings: tuple[tuple[str, ...], ...] = ()
    instead: str | None = None
    hash: tuple[str, str] | None = None
    subset: Path | None = None
    hashes: tuple[Path, ...] = ()

    def spelled(self, names: Collection[str]) -> "Format":
        """Return the format with the columns as a file spells them that has the columns `names`."""
        here = {}
        for spellings in self.spellings:
            here |= dict.fromkeys(spellings, next((name for name in spellings if name in names), spellings[0]))
        only = self.only
        if only and only[0] not in names and self.instead in names:
            only = None
        return dataclasses.replace(
            self, url=here.get(self.url, self.url), caption=here.get(self.caption, self.caption), only=only
        )

    @property
    def hash_kind(self) -> str | None:
        """The kind of hash that the list has of each image, or None."""
        return self.hash[0] if self.hash else "sha256" if self.hashes else None

    @property
    def texts(self) -> list[str]:
        """The columns, or places in them, that are validated."""
        return [self.url, self.caption, *(self.only or ())[:1]]

    @property
    def places(self) -> list[str]:
        """The columns, or places in them, that a list must have."""
        return [*self.texts, *(self.hash or ())[1:]]


_HEADERLESS = Format("lines", columns=("url", "caption"))

JOINED = ("cc12m", "cc3m")
"""Formats of lists whose hashes are in files of their own."""

FORMATS = {
    "yfcc": _HEADERLESS,
    "cc12m": _HEADERLESS,
    "shutterstock": _HEADERLESS,
    "cc3m": Format("lines", columns=("caption", "url")),
    "laion": Format(
        "parquet",
        "URL",
        "TEXT",
        only=("NSFW", "UNLIKELY", "nsfw"),
        spellings=(("URL", "url"), ("TEXT", "caption", "text")),
        instead="punsafe",
    ),
    "datacomp": Format("parquet", "url", "text", hash=("sha256", "sha256")),
    "wit": Format(
        "lines", "image_url", "caption_reference_description", only=("language", "en", "language"), unquote=True
    ),
    "redcaps": Format("json"),
    "yfcc100m": Format("yfcc100m"),
    "csv": Format("csv"),
    "tsv": Format("lines"),
    "parquet": Format("parquet"),
    "jsonl": Format("jsonl"),
}
"""Formats by the name of the source that was released in them; the last four are for the user's own lists."""

GENERIC = ("csv", "tsv", "parquet", "jsonl")
"""The formats for which the user names the columns."""

NESTED = ("parquet", "jsonl")
"""The formats whose columns may be nested, or hold several captions."""


def resolve_format(name: str, columns: dict[str, str] | None = None) -> Format:
    """Return the format `name`, with the user's `columns` (url, caption, sha256, md5, several) if it is a generic format.

    Raises `ListError` for an unknown name or key, and for columns that the format cannot have.
    """
    if name not in FORMATS:
        raise ListError(f"format: {name!r} is unknown; choose one of {', '.join(FORMATS)}")
    columns = dict(columns or {})
    if columns and name not in GENERIC:
        raise ListError(f"columns: the format {name} has fixed columns; remove the key, or choose {', '.join(GENERIC)}")
    if unknown := set(columns) - {"url", "caption", "several", *HASHES}:
        raise ListError(f"columns: {', '.join(sorted(unknown))} is unknown; name the columns of url and caption")
    if set(HASHES) <= set(columns):
        raise ListError("columns: sha256 and md5 are both given; images are checked by one of them, so remove md5")
    if "several" in columns and name not in NESTED:
        raise ListError(
            f"columns.several: a cell of {name} has one caption; remove the key, or choose {', '.join(NESTED)}"
        )
    if hashes := [(kind, columns.pop(kind)) for kind in HASHES if kind in columns]:
        columns["hash"] = hashes[0]
    return dataclasses.replace(FORMATS[name], **columns)
