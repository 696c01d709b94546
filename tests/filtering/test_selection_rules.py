"""The captions of the mini-web: every kind, every class, every word for it."""

import re

import numpy as np
import pytest

from testbed.miniweb.captions import CAPTION_TEMPLATES, TERMS, caption
from testbed.miniweb.world import CLASSES, SOURCES

TOKEN = re.compile(r"[^\W\d_]+|\d|(?:[^\w\s]|_)+")
"""What CLIP's tokenizer cuts a text into before it merges pairs."""

WORDS = {label.name: dict(zip(TERMS, (label.name, label.casual, label.formal), strict=True)) for label in CLASSES}


def captions(kind: str, label: str | None, term: str, count: int = 60, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [caption(kind, label, term, rng) for _ in range(count)]


def test_every_source_has_a_voice():
    assert set(CAPTION_TEMPLATES) == set(SOURCES)


@pytest.mark.parametrize("kind", CAPTION_TEMPLATES)
@pytest.mark.parametrize("term", TERMS)
def test_captions_name_their_object_within_the_text_context(kind, term):
    for label in CLASSES:
        for text in captions(kind, label.name, term):
            assert re.search(rf"\b{re.escape(WORDS[label.name][term])}\b", text, re.IGNORECASE), text
            assert len(TOKEN.findall(text)) <= 14, text
            assert text == " ".join(text.split())


@pytest.mark.parametrize("kind", CAPTION_TEMPLATES)
def test_vague_captions_name_no_object(kind):
    words = "|".join(re.escape(word) for terms in WORDS.values() for word in terms.values())
    for text in captions(kind, None, "plain", 500):
        assert not re.search(rf"\b({words})s?\b", text, re.IGNORECASE), text
        assert 1 <= len(TOKEN.findall(text)) <= 14, text


@pytest.mark.parametrize("kind", CAPTION_TEMPLATES)
def test_captions_depend_on_the_generator_alone(kind):
    assert captions(kind, "cat", "plain") == captions(kind, "cat", "plain")
    assert captions(kind, "cat", "plain") != captions(kind, "cat", "plain", seed=1)


def test_voices_have_the_marks_of_their_sources():
    def text(kind):
        return "\n".join(captions(kind, "clock", "plain", 300) + captions(kind, None, "plain", 300))

    assert re.search(r"^IMG_\d{4}$", text("yfcc"), re.MULTILINE)
    assert "Free Shipping" in text("laion")
    assert "<PERSON>" in text("cc12m")
    assert re.search(r", 1[89]\d\d", text("wit"))
    assert all(line.count(",") >= 1 or "isolated on" in line for line in text("shutterstock").splitlines())
    assert text("redcaps").isascii() and text("redcaps") == text("redcaps").lower()
    assert not any(text(kind).isascii() for kind in ("yfcc", "laion", "wit"))
    assert "a photo of a clock" in text("imagenet") and "\nclock\n" in text("imagenet")


def test_what_the_miniweb_lacks_is_refused():
    rng = np.random.default_rng(0)
    for kind, label, term in [("coyo", "cat", "plain"), ("wit", "dog", "plain"), ("wit", "cat", "slang")]:
        with pytest.raises(KeyError):
            caption(kind, label, term, rng)
