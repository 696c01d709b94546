"""The captions of Snakemake's report are valid templates and valid reStructuredText, for every experiment."""

import re
from types import SimpleNamespace

import jinja2
import pytest
from docutils.core import publish_doctree

from experiments import EXPERIMENTS, load, read
from pages import ROOT, text_of

CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))
LINKS = "\n.. _Workflow: javascript:show_panel('workflow')\n"
"""What Snakemake appends to a caption before it is rendered."""


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda path: path.stem)
def test_captions_render(caption, name):
    config = load(read(name)).config
    # The part of Snakemake's object that the captions use.
    wildcards = SimpleNamespace(
        ensemble=next(iter(config["ensembles"])),
        mixture=next(iter(config["mixtures"])),
        filter=next(iter(config["filters"])),
        pool="cc12m",
    )
    job = SimpleNamespace(config=config, wildcards=wildcards)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    text = environment.from_string(text_of(caption) + LINKS).render(snakemake=job)
    page = publish_doctree(text, settings_overrides={"report_level": 2, "halt_level": 2}).astext()
    assert len(page.split()) > 8
    assert "{" not in page
    assert "_Workflow" not in page, "the caption must end with a line break, or Snakemake's links run into it"


def test_rules_name_captions_that_exist():
    named = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        named |= set(re.findall(r'caption="\.\./report/(\w+)\.rst"', text_of(file)))
    assert named == {path.stem for path in CAPTIONS} - {"workflow"}
