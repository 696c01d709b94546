"""The demo's small tokenizer: the merges of CLIP's byte-pair encoding that the mini-web's captions use, in their order.

Run as a script (``uv run python tests/models/test_mini_tokenizer.py``) this writes the file anew, after captions changed.
"""

import gzip
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "resources" / "architectures" / "mini_rn"
MERGES = FOLDER / "merges.txt.gz"
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import pytest  # noqa: E402
from open_clip.tokenizer import SimpleTokenizer, get_pairs  # noqa: E402

from make_miniweb import draw_source  # noqa: E402
from testbed.miniweb.testsets import TEMPLATES  # noqa: E402
from testbed.miniweb.world import CLASSES, SOURCES  # noqa: E402


def texts(seed: int, pairs: int = 3000) -> list[str]:
    """Captions of every mini-source, and all zero-shot prompts."""
    prompts = [template.format(c=entry.name) for template in TEMPLATES for entry in CLASSES]
    rows = [row for kind in SOURCES for row in draw_source(kind, pairs, seed).rows if not row.cause]
    return [*prompts, *(row.expected for row in rows)]


def merges_used(tokenizer: SimpleTokenizer, captions: list[str]) -> list[tuple[str, str]]:
    """The merges that `tokenizer` applies to `captions`, in the order of their rank."""
    used = set()
    for word in {word for caption in captions for word in tokenizer.pat.findall(tokenizer.clean_fn(caption))}:
        symbols = [tokenizer.byte_encoder[byte] for byte in word.encode("utf-8")]
        symbols[-1] += "</w>"
        while len(symbols) > 1:
            best = min(get_pairs(symbols), key=lambda pair: tokenizer.bpe_ranks.get(pair, float("inf")))
            if best not in tokenizer.bpe_ranks:
                break
            used.add(best)
            place = 0
            while place < len(symbols) - 1:
                if (symbols[place], symbols[place + 1]) == best:
                    symbols[place : place + 2] = ["".join(best)]
                place += 1
    return sorted(used, key=tokenizer.bpe_ranks.__getitem__)


@pytest.mark.slow
def test_captions_are_cut_into_the_same_words_as_by_clips_own_tokenizer():
    full, small = SimpleTokenizer(), SimpleTokenizer(bpe_path=MERGES)
    captions = texts(seed=0)
    for caption in captions:
        assert full.decode(full.encode(caption)) == small.decode(small.encode(caption))
    same = sum(len(full.encode(caption)) == len(small.encode(caption)) for caption in captions)
    # Camera numbers and the like are spelt out digit by digit by both; rare words of another seed may be by one.
    assert same / len(captions) > 0.99


def test_the_vocabulary_is_the_one_that_the_model_is_made_for():
    config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    assert SimpleTokenizer(bpe_path=MERGES).vocab_size == config["vocab_size"]
    assert ROOT / config["tokenizer_kwargs"]["bpe_path"] == MERGES


def write_merges() -> None:
    merges = merges_used(SimpleTokenizer(), [caption for seed in range(3) for caption in texts(seed)])
    lines = ["#version: merges of CLIP's byte-pair encoding that the mini-web's captions use"]
    content = "\n".join([*lines, *(" ".join(merge) for merge in merges)]).encode("utf-8")
    MERGES.write_bytes(gzip.compress(content, mtime=0))
    print(f"{MERGES}: {len(merges)} merges, vocabulary {SimpleTokenizer(bpe_path=MERGES).vocab_size}")


if __name__ == "__main__":
    write_merges()
