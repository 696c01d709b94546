"""The pages of a mini-source: the image of each URL, and how the server responds to a request for it.

Pages have realistic URLs under the reserved top-level domain ``.test``, so no request can leave the machine. Only the
mini-web's server, an HTTP proxy, can reach them.
"""

import dataclasses
from dataclasses import dataclass

from numpy.random import Generator

from testbed.miniweb.world import CLASSES, SOURCES

BEHAVIOURS = ("ok", "missing", "html", "corrupt", "truncated", "busy", "banned", "slow")
"""How the server responds for a page; see `FAULTS`."""

WITHOUT_IMAGE = ("missing", "html", "corrupt", "truncated", "banned")
"""The behaviours that never give an image."""

_PERMANENT = {"missing": 0.040, "html": 0.012, "corrupt": 0.010, "truncated": 0.010, "banned": 0.010}
_TEMPORARY = {"busy": 0.030, "slow": 0.005}

FAULTS = {
    "yfcc": _PERMANENT | _TEMPORARY | {"missing": 0.055},
    "laion": _PERMANENT | _TEMPORARY | {"missing": 0.050, "html": 0.020},
    "cc12m": _PERMANENT | _TEMPORARY | {"missing": 0.050},
    "redcaps": _PERMANENT | _TEMPORARY | {"html": 0.025},
    "wit": _PERMANENT | _TEMPORARY | {"busy": 0.080},
    "shutterstock": _PERMANENT | _TEMPORARY,
    "imagenet": _TEMPORARY | {"missing": 0.010},
}
"""Shares of pages with faulty responses: 404 (missing), 200 with a web page (html), bytes that are not an image (corrupt),
a truncated JPEG (truncated), 429 the first time (busy), 429 always (banned), or a late response (slow). The rest is ok. Old
lists have more missing pages, photo sites respond with a placeholder page, and encyclopedias limit the rate."""

FORMATS = {
    "yfcc": {"jpeg": 1.0},
    "laion": {"jpeg": 0.80, "png": 0.12, "webp": 0.08},
    "cc12m": {"jpeg": 0.92, "png": 0.08},
    "redcaps": {"jpeg": 0.85, "png": 0.15},
    "wit": {"jpeg": 0.75, "png": 0.25},
    "shutterstock": {"jpeg": 1.0},
    "imagenet": {"jpeg": 1.0},
}
"""Shares of image formats."""

SIZES = {64: 0.60, 72: 0.20, 96: 0.20}
"""Shares of image sizes, in pixels."""

DUPLICATES = 0.025
"""Share of pages that show the same image as an earlier page of their source."""

_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_SHOPS = {
    "laion": ("cdn.shopnow", "i.pinimg", "images.homedeco", "ae01.alicdn", "rlv.zcache"),
    "cc12m": ("media.istockphoto", "static.weddingblog", "www.travelnotes", "cdn.recipes", "i.ytimg"),
}


@dataclass(frozen=True)
class Page:
    """The page of one URL. `label` is empty if the image shows no object of a class.

    `change` says how the image of a near-duplicate was changed (`testbed.miniweb.planted`); of others it is empty.
    """

    url: str
    label: str
    domain: str
    seed: int
    size: int
    format: str
    behaviour: str
    change: str = ""


def draw_pages(kind: str, count: int, rng: Generator) -> list[Page]:
    """Return `count` pages of the mini-source for `kind`, each with its own URL."""
    pages: list[Page] = []
    for number in range(count):
        repeated = pages and rng.random() < DUPLICATES
        page = pages[rng.integers(len(pages))] if repeated else _draw_image(kind, rng)
        behaviour = draw_from(FAULTS[kind], rng, otherwise="ok")
        form = "jpeg" if behaviour == "truncated" else page.format
        url = _address(kind, number, _EXTENSIONS[form], page.domain, rng)
        pages.append(dataclasses.replace(page, url=url, format=form, behaviour=behaviour))
    return pages


def draw_from(shares: dict, rng: Generator, otherwise=None):
    """Return one key of `shares`, drawn with its share as probability, or `otherwise` with the rest of the probability."""
    position = rng.random()
    for key, share in shares.items():
        if position < share:
            return key
        position -= share
    return key if otherwise is None else otherwise


def _draw_image(kind: str, rng: Generator) -> Page:
    domain = draw_from(SOURCES[kind].domains, rng)
    label = "" if domain == "junk" else CLASSES[rng.integers(len(CLASSES))].name
    seed = int(rng.integers(2**63))
    return Page("", label, domain, seed, draw_from(SIZES, rng), draw_from(FORMATS[kind], rng), "ok")


def _address(kind: str, number: int, extension: str, domain: str, rng: Generator) -> str:
    """Return a URL like those of its source. `number` makes it unique within the source."""
    digits = f"{number:07d}"
    noise = f"{rng.integers(2**40):010x}"
    match kind:
        case "yfcc":
            farm, server = rng.integers(1, 10), rng.integers(1000, 9000)
            return f"http://farm{farm}.staticflickr.test/{server}/{rng.integers(20, 99)}1{digits}_{noise}_o.{extension}"
        case "redcaps" if rng.random() < 0.3:
            return f"http://i.imgur.test/{_base36(number + 36**6)}.{extension}"
        case "redcaps":
            return f"http://i.redd.test/{_base36(rng.integers(36**5))}{_base36(number + 36**6)}.{extension}"
        case "wit":
            name = ("File", "Vue_g%C3%A9n%C3%A9rale", "Collection_(museum)", "Z%C3%BCrich")[rng.integers(4)]
            folder = f"{noise[0]}/{noise[:2]}"
            return f"http://upload.wikimedia.test/wikipedia/commons/{folder}/{name}_{digits}.{extension}"
        case "shutterstock":
            style = {"clipart": "vector", "painting": "illustration", "sketch": "illustration"}.get(domain, "photo")
            return f"http://image.shutterstock.test/image-{style}/stock-{style}-{noise[:4]}-260nw-1{digits}.{extension}"
        case "imagenet":
            return f"http://static.flickr.test/{rng.integers(1, 200)}/n{digits}_{noise[:6]}.{extension}"
    shop = _SHOPS[kind][rng.integers(len(_SHOPS[kind]))]
    if rng.random() < 0.2:
        return f"http://{shop}.test/image?id={digits}&v={noise[:4]}"
    return f"http://{shop}.test/{noise[:2]}/{noise[2:4]}/{digits}-{noise[4:]}.{extension}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(int(number), 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits
