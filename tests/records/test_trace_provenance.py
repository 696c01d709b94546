"""The lineage of evaluations down to the lists: complete, with a mismatch at each step, and of results that record less."""

import csv
import json
from pathlib import Path

import pytest

from testbed.records.files import sha256
from testbed.records.lineage import list_sha256, read_node, shards_in
from testbed.records.manifest import read_json, record, write_json
from testbed.records.provenance import made_from
from testbed.training.recipe import request_of
from trace_provenance import ProvenanceError, trace_provenance

ARCHITECTURE = {"batch_size": 2, "gpus": 0}
RUN = {
    "started": "2026-01-01T00:00:00+00:00",
    "code": {"revision": "abc", "changed": True},
    "versions": {"python": "3.11.1", "torch": "2.1", "open_clip_torch": "3.0"},
    "hardware": {"device": "cuda", "node": "n1", "cpu": "Some CPU", "gpus": ["Big GPU", "Big GPU"]},
}


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


class Results:
    """A results folder with one source of two list files and one model on three of its samples, made like the stages'."""

    def __init__(self, older=False):
        self.root = Path("results")
        lists = [text(Path(f"lists/{name}.tsv"), name) for name in ("a", "b")]
        pairs = text(self.root / "metadata/s/pairs.parquet", "pairs")
        self.counts = self.root / "metadata/s/counts.json"
        write_json(self.counts, {"rows": 4, "list": made_from(*lists), "files": [record(pairs)]})
        self.shuffled = self.root / "shuffled/s/manifest.json"
        write_json(self.shuffled, {"seed": 0, "parts": [], "made_from": made_from(self.counts)})
        self.shards = self.root / "shards/s/manifest.json"
        shards = [record(text(self.shards.with_name(f"{n}.tar"), f"shard {n}"), samples=2) for n in (0, 1)]
        write_json(self.shards, {"source": "s", "files": shards, "made_from": made_from(self.shuffled)})
        self.trainset = self.root / "trainsets/s/3/manifest.json"
        whole = shards[0] | {"source": "s", "shard": "0.tar"}
        cut = text(self.trainset.with_name("1.tar"), "cut")
        files = [whole, record(cut, samples=1, parts=[{"source": "s", "samples": 1, "shard": "1.tar"}])]
        write_json(self.trainset, {"samples": 3, "composition": {"s": 3}, "files": files})
        self.model = self.root / "models/m/manifest.json"
        config = text(self.model.with_name("open_clip_config.json"), "{}")
        weights = text(self.model.with_name("open_clip_model.safetensors"), "weights")
        entry = {"request": request_of(ARCHITECTURE, {}, read_json(self.trainset), 7), "versions": {"torch": "2.1"}}
        entry["files"] = [record(config), record(weights)]
        own = {"runs": [RUN], "finished": "2026-01-02T00:00:00+00:00", "made_from": made_from(self.trainset)}
        write_json(self.model, entry | ({} if older else own))
        self.metrics = text(self.root / "evaluations/m/metrics.csv", "model\nm\n")
        self.evaluation = self.metrics.with_name("manifest.json")
        if not older:
            content = {"versions": {"clip_benchmark": "1.6"}, "finished": "2026-01-03T00:00:00+00:00"}
            write_json(self.evaluation, content | {"made_from": made_from(self.model), "files": [record(self.metrics)]})
        self.table = text(self.root / "tables/evaluations.csv", "model,pool\nm,s\n")

    def trace(self, **changes):
        """The row and the lineage of the model."""
        read_node.cache_clear()
        shards_in.cache_clear()
        columns = {"model": "m", "pool": "s", "architecture": "net", "size": 3, "seed": 7, "manifest": str(self.model)}
        trace_provenance(
            self.table,
            [columns | changes],
            {"architectures": {"net": ARCHITECTURE}},
            self.root / "experiment.json",
            self.root / "provenance",
            self.root / "provenance.csv",
        )
        with open(self.root / "provenance.csv", newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        return row, read_json(self.root / "provenance/m.json")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def results(folder):
    return Results()


def test_a_row_says_everything_that_is_recorded(results):
    row, _ = results.trace()
    lists = "".join(f"{sha256(f'lists/{name}.tsv')}  {name}.tsv\n" for name in ("a", "b"))
    assert row == {
        "model": "m",
        "pool": "s",
        "architecture": "net",
        "size": "3",
        "seed": "7",
        "weights_sha256": sha256(results.model.with_name("open_clip_model.safetensors")),
        "trainset_sha256": sha256(results.trainset),
        "sources": f"s: 3 samples, list {sha256(text(Path('sums'), lists))}",
        "experiment_sha256": sha256("results/experiment.json"),
        "revision": "abc (changed)",
        "python": "3.11.1",
        "torch": "2.1",
        "open_clip": "3.0",
        "clip_benchmark": "1.6",
        "device": "cuda",
        "hardware": "2 x Big GPU, Some CPU, node n1",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-02T00:00:00+00:00",
        "evaluated": "2026-01-03T00:00:00+00:00",
        "broken": "",
    }


def test_a_lineage_goes_down_to_the_files_of_the_list(results):
    _, lineage = results.trace()
    (trainset,) = lineage["trained"]["made_from"]
    (source,) = trainset["sources"]
    (shuffled,) = source["shards"]["made_from"]
    (counts,) = shuffled["made_from"]
    assert [source["source"], source["samples"]] == ["s", 3]
    assert [counts["path"], counts["list"]] == [str(results.counts), made_from("lists/a.tsv", "lists/b.tsv")]
    assert lineage["evaluation"]["made_from"] == [{"path": str(results.model), "sha256": sha256(results.model)}]


@pytest.mark.parametrize("link", ["counts", "shuffled", "trainset", "model"])
def test_a_manifest_that_was_made_again_is_a_mismatch(results, link):
    path = getattr(results, link)
    write_json(path, read_json(path) | {"remade": True})
    assert results.trace()[0]["broken"] == str(path)


def test_metrics_that_were_overwritten_are_a_mismatch(results):
    results.metrics.write_text("model\nm\n\n")
    assert results.trace()[0]["broken"] == str(results.metrics)


@pytest.mark.parametrize("shard", [0, 1])
def test_shards_that_the_source_no_longer_has_are_a_mismatch(results, shard):
    content = read_json(results.shards)
    if shard == 0:
        content["files"][0]["sha256"] = "f" * 64
    else:
        del content["files"][1]
    write_json(results.shards, content)
    row, lineage = results.trace()
    assert row["broken"] == str(results.shards)
    assert lineage["trained"]["made_from"][0]["sources"][0]["shards"]["other_shards"] == [f"{shard}.tar"]


def test_more_shards_behind_those_of_the_trainset_break_nothing(results):
    content = read_json(results.shards)
    content["files"].append(content["files"][0] | {"name": "2.tar"})
    write_json(results.shards, content)
    assert results.trace()[0]["broken"] == ""


@pytest.mark.parametrize("link", ["counts", "shards", "trainset", "model"])
def test_a_missing_manifest_is_named_and_nothing_below_it_is_made_up(results, link):
    getattr(results, link).unlink()
    row, _ = results.trace()
    assert row["broken"].split("; ")[0] == str(getattr(results, link))
    assert "list" not in row["sources"] or row["sources"].endswith("not recorded")


def test_older_results_have_empty_cells_and_the_trainset_that_their_request_proves(folder):
    row, lineage = Results(older=True).trace()
    empty = {"revision", "python", "clip_benchmark", "device", "hardware", "started", "finished", "evaluated", "broken"}
    assert {name for name, value in row.items() if not value} == empty | {"open_clip"}
    assert row["trainset_sha256"] == sha256("results/trainsets/s/3/manifest.json")
    assert lineage["evaluation"] == {
        "metrics": {"path": "results/evaluations/m/metrics.csv", "sha256": sha256("results/evaluations/m/metrics.csv")}
    }


def test_a_request_for_another_seed_proves_no_trainset(folder):
    row, _ = Results(older=True).trace(seed=8)
    assert (row["trainset_sha256"], row["sources"]) == ("", "")


def test_a_request_for_another_trainset_proves_none(folder):
    results = Results(older=True)
    write_json(results.trainset, read_json(results.trainset) | {"samples": 4})
    row, _ = results.trace()
    assert (row["trainset_sha256"], row["sources"]) == ("", "")


def test_a_request_for_another_recipe_proves_no_trainset(folder, monkeypatch):
    results = Results(older=True)
    monkeypatch.setitem(ARCHITECTURE, "batch_size", 3)
    assert results.trace()[0]["trainset_sha256"] == ""


def test_a_published_checkpoint_has_what_was_retrieved(results):
    manifest = results.root / "pretrained/p/manifest.json"
    weights = text(manifest.with_name("open_clip_model.safetensors"), "published")
    content = {"model": "RN50", "tag": "yfcc15m", "code": {"revision": "abc", "changed": False}}
    write_json(manifest, content | {"versions": {"torch": "2.1"}, "files": [record(weights)]})
    row, lineage = results.trace(pool="pretrained", manifest=str(manifest))
    assert (row["weights_sha256"], row["revision"]) == (sha256(weights), "abc")
    assert (row["trainset_sha256"], row["sources"]) == ("", "")
    assert lineage["trained"]["tag"] == "yfcc15m"


@pytest.mark.parametrize(("files", "shown"), [(9, made_from), (101, lambda *paths: {"number": 101, "bytes": 101})])
def test_many_files_are_summed_up_and_those_of_lists_only_when_there_are_very_many(results, files, shown):
    parts = [{"name": f"{n}.parquet", "bytes": 10, "sha256": "0" * 64} for n in range(9)]
    write_json(results.counts, read_json(results.counts) | {"list": made_from(*["lists/a.tsv"] * files)})
    write_json(results.shuffled, read_json(results.shuffled) | {"parts": parts, "made_from": made_from(results.counts)})
    write_json(results.shards, read_json(results.shards) | {"made_from": made_from(results.shuffled)})
    _, lineage = results.trace()
    (shuffled,) = lineage["trained"]["made_from"][0]["sources"][0]["shards"]["made_from"]
    assert shuffled["parts"] == {"number": 9, "bytes": 90}
    assert shuffled["made_from"][0]["list"] == shown(*["lists/a.tsv"] * files)
    assert shuffled["made_from"][0]["list_sha256"] == list_sha256(made_from(*["lists/a.tsv"] * files))


def test_entries_that_are_no_records_of_files_are_left_as_they_are(results):
    write_json(results.shuffled, read_json(results.shuffled) | {"parts": ["00000", "00001"]})
    write_json(results.shards, read_json(results.shards) | {"made_from": made_from(results.shuffled)})
    _, lineage = results.trace()
    (shuffled,) = lineage["trained"]["made_from"][0]["sources"][0]["shards"]["made_from"]
    assert shuffled["parts"] == ["00000", "00001"]


def test_a_table_that_speaks_of_another_model_is_refused(results):
    results.table.write_text("model,pool\nm,s\nother,s\n")
    with pytest.raises(ProvenanceError, match="has other"):
        results.trace()


def test_the_hash_of_a_list_is_its_files_or_that_of_their_sums(folder):
    one = made_from(text(folder / "a.tsv", "a"))
    assert list_sha256(one) == one[0]["sha256"]
    both = [*one, *made_from(text(folder / "b.tsv", "b"))]
    assert list_sha256(both) != list_sha256(both[::-1]) != one[0]["sha256"]


def test_lineages_are_json_that_people_can_read(results):
    results.trace()
    lines = (results.root / "provenance/m.json").read_text().splitlines()
    assert len(lines) > 50 and json.loads("\n".join(lines))["model"] == "m"


def test_an_ensemble_is_traced_through_its_members(results):
    own, _ = results.trace()
    metrics = text(results.root / "evaluations/e/metrics.csv", "model\ne\n")
    content = {"versions": {"clip_benchmark": "1.6"}, "finished": "2026-01-04T00:00:00+00:00"}
    content |= {"made_from": made_from(results.model), "files": [record(metrics)]}
    write_json(metrics.with_name("manifest.json"), content)
    results.table.write_text("model,pool\ne,e\n")
    row, _ = results.trace(model="e", pool="e", manifest=None)
    same = ("weights_sha256", "trainset_sha256", "sources", "revision", "torch", "hardware", "started", "finished")
    assert {name: row[name] for name in same} == {name: own[name] for name in same}
    assert (row["evaluated"], row["broken"]) == ("2026-01-04T00:00:00+00:00", "")
    (member,) = read_json(results.root / "provenance/e.json")["evaluation"]["made_from"]
    assert member["path"] == str(results.model)
    assert member["made_from"][0]["sources"][0]["source"] == "s"
