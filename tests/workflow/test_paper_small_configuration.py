"""config/paper_small.yaml is the paper's experiment but for numbers and addresses, and names a contact."""

from collections.abc import Iterator

from experiments import ROOT
from paper_small import CONFIG, PAPER, SMALL
from runs import run_snakemake

OVERRIDDEN = {
    *["experiment", "samples", "sizes", "miniweb", "path", "fraction", "tail_fraction", "device", "size", "entries"],
    *["batch_size", "epochs", "warmup", "gpus", "workers", "memory_mb", "url", "table"],
    *["classes", "published_tables", "part_size", "memory", "proxy", "contact", "upload.wikimedia.test", "chunk_size"],
    *["threads", "timeout", "shard_size", "rn50", "precision"],
}
"""Keys of numbers and addresses, and the precision."""


def leaves(entry: object, key: str = "") -> Iterator[str]:
    """The innermost keys of nested mappings."""
    if not isinstance(entry, dict):
        yield key
        return
    for name, value in entry.items():
        yield from leaves(value, name)


def test_only_numbers_and_addresses_differ_from_the_paper():
    assert set(leaves(SMALL)) <= OVERRIDDEN
    # Nothing is named there that the paper's experiment does not have, but for addresses.
    for kind in ("sources", "mixtures", "filters", "architectures", "testsets"):
        assert set(SMALL[kind]) <= set(PAPER[kind])
    assert "model" not in SMALL["architectures"]["rn50"] and SMALL["architectures"]["rn50"]["precision"] == "fp32"
    maps = ROOT / "resources/objectnet_classes.csv", ROOT / SMALL["testsets"]["objectnet"]["classes"]
    whole, cut = (set(path.read_text(encoding="utf-8").splitlines()[1:]) for path in maps)
    assert {line for line in cut if not line.startswith("#")} <= whole


def test_wikimedia_is_not_asked_without_a_contact(workflow_copy):
    (workflow_copy / "nobody.yaml").write_text("download: {contact: ''}\n")
    result = run_snakemake(workflow_copy, "-n", *CONFIG, "nobody.yaml", check=False)
    assert result.returncode == 1
    assert "download.contact: source wit asks Wikimedia" in result.stdout
