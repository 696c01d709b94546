"""A part of sixty pages of the mini-web, parts on the hostile server, and the options with which tests download them."""

from collections import Counter

import mini_parts
from experiments import DEMO, load
from hostile import LIMITS
from mini_parts import draw_page

OPTIONS = {name: value for name, value in load(DEMO).config["download"].items() if name != "proxy"} | {
    "chunk_size": 20,
    "minimum_success": 0.5,
}
BEHAVIOURS = {"ok": 39, "missing": 4, "html": 3, "corrupt": 3, "truncated": 3, "busy": 3, "banned": 3, "slow": 2}
# Every seventh of the sixty, and so on, so that all chunks hold most kinds.
_KINDS = list(Counter(BEHAVIOURS).elements())
PAGES = [draw_page(number, _KINDS[number * 7 % 60]) for number in range(60)]
URLS = [page["url"] for page in PAGES]
WITH_IMAGE = {page["url"] for page in PAGES if page["behaviour"] in ("ok", "busy", "slow")}

HOSTILE = OPTIONS | LIMITS | {"proxy": "none", "minimum_success": 0, "chunk_size": 100}


PATIENT = HOSTILE | {"timeout": 30, "deadline": 120}
"""For tests of what images become, in which no server is slow on purpose, on a machine that may be."""


def write_part(path, pages):
    mini_parts.write_part(path, [page["url"] for page in pages])


def urls_of(chunk: int) -> set[str]:
    return set(URLS[chunk * 20 : (chunk + 1) * 20])


def hostile_part(tmp_path, hostile, kinds: list[str]) -> list[str]:
    """A part of the list with one URL of each of `kinds` on the hostile server; returns the URLs."""
    urls = [hostile.url(kind, number) for number, kind in enumerate(kinds)]
    mini_parts.write_part(tmp_path / "part.parquet", urls)
    return urls
