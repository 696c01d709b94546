"""The pages of cards: small, without scripts and requests, harmless and legible, in a real browser."""

import html
import io
import re
from base64 import b64encode

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from compare_pools import read_described, write_table
from describe_pool import words_table
from draw_card import read_words
from example_cards import CLASSES, HOSTILE, TITLES, counted, describe, page_of, pairs_of, write_example
from testbed.cards.card import card_page
from testbed.cards.charts import Counted, histogram
from testbed.cards.compared import CLASS_COLUMNS, COLUMNS, Described, class_rows, pool_rows, pools_page
from testbed.cards.images import blurred, is_flagged, look_at
from testbed.cards.measures import MEASURES
from testbed.cards.mixture import mixed
from testbed.cards.overlap import overlap_section, overlap_table
from testbed.records.manifest import write_json

BOXES = """[...document.querySelectorAll('svg')].map((svg) => [...svg.querySelectorAll('text')]
.map((one) => one.getBoundingClientRect()).map((one) => [one.left, one.top, one.right, one.bottom]))"""
SPILLED = """[...document.querySelectorAll('figcaption, .name, .figure, dd, td, h1, h3')]
.filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display != 'inline').length"""


MIXTURES = {"mixture": {"source": 0.25, "filter": 0.75}, "six": dict.fromkeys(["source", "filter", *"abcd"], 1 / 6)}


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    samples, kept = write_example(tmp_path_factory.mktemp("example"))
    return {"source": describe(samples), "filter": describe(kept, samples)}


@pytest.fixture(scope="module")
def pages(described, tmp_path_factory):
    """The cards of a source and of a filter, and the page of both."""
    folder = tmp_path_factory.mktemp("pages")
    rivals = {"other": {"dog": 3, "sale": 400, "the": 200, "": 100}}
    files = {}
    overlap = overlap_section(counted("source"), pairs_of(described["source"][2]), TITLES, "flagged")
    only = {"source": (rivals, overlap), "filter": ({}, "")}
    for kind, found in described.items():
        files[kind] = folder / f"{kind}.html"
        files[kind].write_text(page_of(found, only[kind][0], kind=kind, overlap=only[kind][1]), encoding="utf-8")
    for kind, members in MIXTURES.items():
        files[kind] = folder / f"{kind}.html"
        files[kind].write_text(mixture_page(described, members), encoding="utf-8")
    files["pools"] = folder / "pools.html"
    files["pools"].write_text(compared(described), encoding="utf-8")
    return files


def mixture_page(described, members: dict[str, float]) -> str:
    """The card of a mixture whose members are the source and the filter, and some more like the source."""
    found = [described.get(name, described["source"]) for name in members]
    titles = {name: f"The {name} & <co>" for name in members}
    pool = {"name": "both", "title": "Both", "kind": "mixture", "reference": "ImageNet", "members": members}
    pool |= {"titles": titles, "sizes": [512, 2560]}
    description, sheet, words = mixed(pool, *([one[place] for one in shown_of(found)] for place in (0, 1, 2)))
    return card_page(description, pool, sheet, words, {}, "flagged")


def shown_of(found) -> list[tuple]:
    return [(description, sheet.to_pylist(), words) for description, words, sheet in found]


def compared(described) -> str:
    shown = [
        (
            ({"name": kind, "title": f"The {kind} <b>", "kind": kind}),
            description,
            sheet.to_pylist(),
            counted(kind) if kind == "source" else None,
        )
        for kind, (description, _, sheet) in described.items()
    ]
    members = {"members": {"source": 0.25, "filter": 0.75}, "titles": {"source": "It", "filter": "Less & less"}}
    mixtures = [{"name": "both", "title": "Both"} | members]
    return pools_page([Described(*one) for one in shown], mixtures, "example", "flagged", TITLES)


@pytest.mark.parametrize("kind", ["source", "filter", *MIXTURES, "pools"])
def test_pages_are_small_and_lead_to_each_other_alone(pages, browser, kind):
    text = pages[kind].read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    assert "default-src 'none'" in text
    browser.open(pages[kind])
    assert browser.run("document.querySelectorAll('script, iframe, object, embed, form, base').length") == 0
    named = browser.run(
        "[...document.querySelectorAll('*')].flatMap((one) => [...one.attributes]).map((one) => [one.name, one.value])"
    )
    assert {name for name, _ in named if name.startswith("on")} == set()
    leads = {value.partition(",")[0] for name, value in named if name in ("src", "href", "srcset", "action")}
    pages_of_pools = {"../pools.html", "pools/source.html", "pools/filter.html", "pools/both.html"}
    assert leads <= {"data:", "data:image/jpeg;base64", *pages_of_pools}


def test_every_caption_of_strangers_is_on_the_card_as_text(pages, browser):
    browser.open(pages["source"])
    assert browser.run("document.title") == "Pool card: Mine & <yours>"
    shown = browser.run("[...document.querySelectorAll('figcaption bdi')].map((one) => one.textContent)")
    listed = " ".join(shown)
    assert "<script>document.title = 'broken'</script><img src=x" in listed
    assert "[[main]] {{ snakemake }}" in listed
    for name in ("hebrew", "emoji", "url"):
        assert HOSTILE[name] in shown
    cut = browser.run("[...document.querySelectorAll('figcaption .cut')].map((one) => one.textContent)")
    assert " \u2026 10,008 characters" in cut
    # Right-to-left captions begin at the right, and what stands below them does not.
    rule = "getComputedStyle([...document.querySelectorAll('figcaption bdi')].find((one) => one.textContent.startsWith"
    assert browser.run(f"{rule}('{HOSTILE['hebrew'][:3]}'))).direction") == "rtl"
    assert browser.run(f"{rule}('photo'))).direction") == "ltr"
    assert browser.faults == []


@pytest.mark.parametrize("kind", ["source", "filter", *MIXTURES, "pools"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_overlaps_and_nothing_is_cut(pages, browser, kind, width):
    browser.requests.clear()
    browser.faults.clear()
    browser.open(pages[kind], size=(width, 900))
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(SPILLED) == 0
    assert browser.run("[...document.images].filter((one) => !one.naturalWidth).length") == 0
    for boxes in browser.run(BOXES):
        for place, one in enumerate(boxes):
            for other in boxes[place + 1 :]:
                assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 2 or other[3] <= one[1] + 2
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "about", "data"}
    assert browser.faults == []


def test_a_mixture_has_its_members_side_by_side(described, pages, browser):
    """Samples by share, the numbers of each member as on its own card, and the words that tell it from the others."""
    browser.open(pages["mixture"])
    assert browser.run("document.querySelector('header p').textContent").startswith(
        "Mixture. 25 % The source & <co>, 75 % The filter & <co>. Trainsets of 512, 2,560 samples."
    )
    sheets = browser.run("[...document.querySelectorAll('.sheet')].map((one) => one.children.length)")
    source, kept = (described[name][0]["groups"][0] for name in ("source", "filter"))
    # By their shares, and together no more than the source has on its own card.
    kept_samples, longest = described["filter"][2]["group"].to_pylist().count("kept"), described["source"][2].num_rows
    most = min(longest, kept_samples / 0.75)
    assert sheets == [round(0.25 * most), round(0.75 * most)] and sum(sheets) <= longest
    facts = browser.run("[...document.querySelectorAll('.facts dd')].map((one) => one.innerText)")
    assert (
        f"{source['measures']['words']['median']:g}" in facts[3]
        and f"{kept['measures']['words']['median']:g}" in facts[3]
    )
    browser.open(pages["six"])
    assert browser.run("document.querySelectorAll('.sheet li').length") == 6 * round(longest / 6)
    titles = browser.run("[...document.querySelectorAll('.words h3')].map((one) => one.textContent)")
    assert any(title == "More in The filter & <co>" for title in titles)


@pytest.mark.parametrize("name", MEASURES)
def test_bars_are_as_high_as_their_shares(name):
    counts = [0] * (len(MEASURES[name].edges) + 1)
    counts[3], counts[8], counts[-1] = 10, 20, 10
    drawn = histogram(name, [Counted("all", "first", counts)])
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert len(heights) == 3
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01) and heights[2] == pytest.approx(heights[0], rel=0.01)
    assert "\u2265" in html.unescape(drawn)


def test_equal_shares_have_equal_heights_on_common_axes():
    counts = [0] * (len(MEASURES["words"].edges) + 1)
    few, many = counts.copy(), counts.copy()
    few[3] = few[30] = 1
    many[10] = 7
    drawn = [histogram("words", [Counted("all", "first", one)], [few, many]) for one in (few, many)]
    ticks = [re.findall(r"<text[^>]*>([^<]*)</text>", one) for one in drawn]
    assert ticks[0] == ticks[1]


@pytest.mark.parametrize(
    ("row", "flagged"),
    [
        ({"punsafe": 0.97}, True),
        ({"punsafe": "0.97"}, True),
        ({"punsafe": "0.2"}, False),
        ({"NSFW": "NSFW"}, True),
        ({"NSFW": "UNLIKELY"}, False),
        ({"over_18": True}, True),
        ({"punsafe": None}, False),
    ],
)
def test_flags_are_words_numbers_and_numbers_as_text(row, flagged):
    assert is_flagged(row, list(row)) == flagged


def test_flagged_images_are_blurred_and_the_sharp_ones_are_not_in_the_page(described):
    description, words, sheet = described["source"]
    flags = pa.array([place == 0 for place in range(len(sheet))])
    marked = sheet.set_column(sheet.schema.get_field_index("flagged"), "flagged", flags)
    group = description["groups"][0] | {"flags": ["NSFW"], "flagged": 1}
    flagged = (description | {"groups": [group]}, words, marked)
    pages = {blur: page_of(flagged, blur=blur) for blur in ("flagged", "all", "none")}
    count = {blur: page.count('class="mark"') for blur, page in pages.items()}
    assert count == {"flagged": 1, "all": len(sheet), "none": 0}
    assert "the column NSFW flags" in pages["flagged"]
    assert "has no column that flags" in page_of(described["source"])


def test_a_blurred_image_has_no_shapes():
    random = np.random.default_rng(0)
    noise = np.kron(random.integers(0, 2, (40, 40)), np.ones((4, 4))).astype(np.uint8) * 255
    file = io.BytesIO()
    Image.fromarray(np.stack([noise] * 3, axis=2)).save(file, "PNG")
    thumbnail = look_at(file.getvalue(), True).thumbnail
    sharp, soft = (
        np.asarray(Image.open(io.BytesIO(one)).convert("L"), float) for one in (thumbnail, blurred(thumbnail))
    )
    assert soft.shape == sharp.shape
    assert np.abs(np.diff(soft)).mean() < 0.05 * np.abs(np.diff(sharp)).mean()


def test_pages_of_noise_are_small(described):
    """Noise has the largest JPEGs; a card has 96 images at most, and an experiment may have twenty pools."""
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    thumbnail = look_at(file.getvalue(), True).thumbnail
    description, words, sheet = described["source"]
    row = sheet.to_pylist()[0] | {"thumbnail": thumbnail, "caption": HOSTILE["long"]}
    worst = pa.Table.from_pylist([row] * 96, sheet.schema)
    assert len(page_of((description, words, worst)).encode()) < 2_000_000
    pools = [Described({"name": "a", "title": "a", "kind": "source"}, description, [row] * 96)] * 20
    assert len(pools_page(pools, [], "example", "none", {}).encode()) < 2_000_000


def test_near_duplicates_are_shown_with_shares_and_pairs(described, browser, pages):
    browser.open(pages["source"])
    section = "[...document.querySelectorAll('section')].find((one) => one.textContent.startsWith('Near-duplicates'))"
    rows = browser.run(f"[...{section}.querySelectorAll('tr')].slice(1).map((one) => one.innerText.split('\\t'))")
    assert rows == [
        ["Near & <dear>", "1,000", "2.0 % 20", "< 0.1 % 1,234"],
        ["A test set with a name that is longer than others", "1,000", "0 % 0", "0 % 0"],
    ]
    assert "The first 500,000 samples are compared" in browser.run(f"{section}.innerText")
    assert browser.run(f"[...{section}.querySelectorAll('dd')].map((one) => one.innerText)") == [
        "< 0.1 % 1,234",
        "5.0 % 25,000",
    ]
    assert browser.run(f"{section}.querySelectorAll('figure img').length") == 6
    assert browser.run(f"{section}.innerText").count("and Near & <dear>, 3 bits differ") == 3
    browser.open(pages["pools"])
    assert "5.0 % 25,000" in browser.run(f"{section}.innerText")


def test_a_test_image_is_blurred_with_its_sample(described):
    pairs = pairs_of(described["source"][2])
    shown = {blur: overlap_section(counted("source"), pairs, TITLES, blur) for blur in ("flagged", "all", "none")}
    sharp = b64encode(pairs[0]["test_thumbnail"]).decode()
    assert {blur: section.count(sharp) for blur, section in shown.items()} == {"flagged": 2, "all": 0, "none": 3}


def test_without_counts_no_page_speaks_of_near_duplicates(described):
    pool = Described({"name": "a", "title": "a", "kind": "source"}, described["source"][0], [])
    assert "ear-duplicates" not in pools_page([pool], [], "example", "none", {}) + page_of(described["source"])
    assert overlap_table([], {}) == ""


def test_tables_have_a_row_for_each_group(described, tmp_path):
    shown = [Described({"name": kind, "title": kind, "kind": kind}, found[0], []) for kind, found in described.items()]
    rows = pool_rows(shown)
    assert [(row["pool"], row["group"]) for row in rows] == [
        ("source", "all"),
        ("filter", "kept"),
        ("filter", "dropped"),
    ]
    assert rows[0]["samples"] == rows[1]["samples"] + rows[2]["samples"]
    assert all(list(row) == COLUMNS for row in rows)
    classes = class_rows(shown)
    assert len(classes) == 3 * len(CLASSES) and all(list(row) == CLASS_COLUMNS for row in classes)
    write_table(tmp_path / "pools.csv", COLUMNS, rows)
    assert (tmp_path / "pools.csv").read_text().count("\n") == 4


def test_what_a_description_leaves_is_read_in_the_experiments_order(described, tmp_path):
    for kind, (description, words, sheet) in described.items():
        write_json(tmp_path / kind / "description.json", description)
        parquet.write_table(sheet, tmp_path / kind / "sheet.parquet")
        parquet.write_table(words_table(words), tmp_path / kind / "words.parquet")
        read = read_words(tmp_path / kind / "words.parquet")
        assert {group: {**counts, "": 0} for group, counts in words.items()} == read
    pools = {kind: {"name": kind} for kind in described}
    found = read_described(pools, [tmp_path / kind for kind in described], ["filter", "missing", "source"])
    assert [one.pool["name"] for one in found] == ["filter", "source"]
