"""Tags of published weights are known before anything is fetched."""

import open_clip
import pytest

from testbed.models.networks import published_tags
from testbed.planning.given_files import checkpoint_problems


def test_tags_are_those_of_open_clip():
    theirs: dict[str, list[str]] = {}
    for model, tag in open_clip.list_pretrained():
        theirs.setdefault(model, []).append(tag)
    known = published_tags()
    assert {"RN50", "ViT-B-32", "ViT-B-16", "ViT-L-14"} <= known.keys() and len(known) > 50
    assert {model: theirs[model] for model in known} == known


@pytest.mark.parametrize("tag", ["laion2b_s34b_b79k", "LAION2B-s34b-b79k", None])
@pytest.mark.parametrize("model", ["ViT-B-32", "my/folder", "hf-hub:timm/resnet50_clip.openai"])
def test_what_open_clip_takes_is_no_mistake(model, tag):
    assert list(checkpoint_problems("pretrained.p", {"model": model, "tag": tag}, "results/pretrained/p")) == []


def test_a_misspelt_tag_is_named_with_the_one_that_was_meant():
    entry = {"model": "RN50", "tag": "opnai"}
    (problem,) = checkpoint_problems("filters.f.teacher", entry, "results/teachers/f")
    assert problem == (
        "filters.f.teacher.tag: open_clip has no weights opnai of RN50. Did you mean openai? It has openai, yfcc15m, cc12m."
    )
