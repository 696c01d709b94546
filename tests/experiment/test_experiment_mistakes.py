"""Mistakes in an experiment: names, sizes and folders that do not fit are refused, all at once, with the way out."""

import pytest

from experiments import DEMO, changed, corrupted, load
from testbed.experiment.errors import ExperimentError

PAIR = {"mini_laion": 0.5, "mini_wit": 0.5}
METADATA = "sources__mini_yfcc__metadata"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"statistics": {"baseline": "standard"}},
            [
                "statistics.baseline: standard models are evaluated on imagenet",
                "mini_imagenet",
                "pool:<name of a pool>",
            ],
        ),
        (
            {"claims": [{"best": ["yfcc"], "shift": "mini_v2"}]},
            ["claims: best has yfcc", "not a source", "mini_yfcc"],
        ),
        (
            {"claims": [{"best": ["mini_yfcc"], "shift": "mini_imagenet"}]},
            ["claims: mini_imagenet is not a shift", "mini_v2"],
        ),
        ({"sourcs": {}}, ["the experiment: unknown key sourcs", "sources"]),
        ({"download__thread": 3}, ["download: unknown key thread", "threads"]),
        ({f"{METADATA}__file": "x"}, ["sources.mini_yfcc.metadata: unknown key file", "path"]),
        ({"seed": "one"}, ["seed: 'one'", "integer", "1000000"]),
        ({"sizes": 600}, ["sizes: is 600, and must be a list, such as [600]"]),
        (
            {"testsets": {"mini_imagenet": {"miniweb": "imagenet"}}},
            ["testsets: has mini_imagenet, and must have at least 2"],
        ),
        ({"sizes": [1.0e6]}, ["sizes.0: 1000000.0", "integer", "write whole numbers as 1000000"]),
        ({"sizes": ["1e6"]}, ["sizes.0: '1e6'", "integer", "text in YAML"]),
        ({"sizes": []}, ["sizes: []", "non-empty"]),
        ({"mixtures": None}, ["mixtures: has no value", "remove the key"]),
        (
            {"testsets__mini_v2": None},
            [
                "testsets.mini_v2: has no value",
                "remove the key. A file on top of another cannot remove an entry of it; a copy",
            ],
        ),
        ({"testsets__mini_v2": "v2"}, ["testsets.mini_v2: is 'v2', and must have keys of its own"]),
        ({"download__hosts": {"https://a.test": 1}}, ["download.hosts: 'https://a.test' does not match"]),
        ({"architectures__mini_rn__learning_rate": "3e-3"}, ["learning_rate: '3e-3'", "3.0e-3"]),
        (
            {"architectures__mini_rn__device": "gpu"},
            ["architectures.mini_rn.device: 'gpu'", "cpu", "Did you mean cuda?"],
        ),
        ({"sources__Mini-YFCC": DEMO["sources"]["mini_wit"]}, ["sources: 'Mini-YFCC'", "lower-case letters"]),
        ({"mixtures__2b": {"shares": PAIR}}, ["mixtures: '2b'", "lower-case letters"]),
        ({"sources": {2024: DEMO["sources"]["mini_wit"]}}, ["sources: 2024", "string"]),
        ({METADATA: {}}, ["sources.mini_yfcc.metadata: has no key", "either path or miniweb"]),
        ({METADATA: {"path": "x.csv"}}, ["sources.mini_yfcc.metadata", "'format'", "'path'"]),
        ({METADATA: {"path": "x.csv", "miniweb": "yfcc"}}, ["sources.mini_yfcc.metadata", "'format'", "'path'"]),
        ({METADATA: {"miniweb": "yfcc", "format": "yfcc"}}, ["sources.mini_yfcc.metadata: format without a list"]),
        (
            {METADATA: {"retrieve": "https://host.test/a.csv"}},
            ["sources.mini_yfcc.metadata.retrieve: https://host.test/a.csv is an address", "add format"],
        ),
        ({METADATA: {"path": "x.csv", "format": "xls"}}, ["metadata.format: 'xls'", "csv"]),
        ({"testsets__mini_v2": {}}, ["testsets.mini_v2: has no key", "either path or miniweb"]),
        ({"testsets__mini_v2": {"path": "x", "miniweb": "v2"}}, ["has path, miniweb", "either path or miniweb"]),
        (
            {"mixtures__mini_yfcc": {"shares": PAIR}},
            ["mixtures.mini_yfcc", "is also the name of a source", "another name"],
        ),
        ({"download__private_networks": ["10.1.2.5/24"]}, ["download.private_networks", "10.1.2.5/24", "10.1.2.0/24"]),
        ({"download__private_networks": ["intranet"]}, ["download.private_networks", "'intranet'"]),
        ({"costs__trained_per_second": {"rn50": 1}}, ["costs.trained_per_second", "rn50", "Name one of: mini_rn"]),
        ({"costs__stored_kb": 0}, ["costs.stored_kb: 0"]),
        (
            {"mixtures__one": {"shares": {"mini_wit": 1}}},
            ["mixtures.one.shares: has mini_wit, and must have at least 2 entries"],
        ),
        ({"mixtures__no": {"shares": PAIR | {"mini_wit": 0}}}, ["mixtures.no.shares.mini_wit: 0", "minimum"]),
        (
            {"mixtures__x": {"shares": PAIR | {"who": 1}}},
            ["mixtures.x.shares: who is not a pool", "mini_yfcc", "add it"],
        ),
        ({"mixtures__x": {"shares": PAIR | {"x": 1}}}, ["mixtures.x: is derived from itself (x -> x)", "Remove one"]),
        (
            {"mixtures__x": {"shares": PAIR | {"y": 1}}, "mixtures__y": {"shares": PAIR | {"x": 1}}},
            ["mixtures.x: is derived from itself (x -> y -> x)", "Remove one"],
        ),
        ({"reference": "imagenet"}, ["reference: imagenet is not a test set", "mini_imagenet"]),
        (corrupted(of="mini_imagenet2"), ["testsets.fog.corrupt.of: mini_imagenet2 is not a test set", "mini_v2"]),
        (corrupted(of="fog"), ["testsets.fog.corrupt.of: fog is itself corrupted", "mini_imagenet, mini_v2"]),
        (corrupted() | {"reference": "fog"}, ["testsets.fog.corrupt.of: fog is itself corrupted", "the reference"]),
        (
            corrupted() | {"testsets__snow": {"corrupt": {"of": "fog", "kind": "snow", "severity": 1}}},
            ["testsets.snow.corrupt.of: fog is itself corrupted", "Name one of: mini_imagenet"],
        ),
        (corrupted(kind="frost"), ["testsets.fog.corrupt.kind: 'frost'", "gaussian_noise"]),
        (corrupted(severity=6), ["testsets.fog.corrupt.severity: 6", "maximum"]),
        (corrupted(severity="3"), ["testsets.fog.corrupt.severity: '3'", "integer"]),
        (corrupted(strength=3), ["testsets.fog.corrupt: unknown key strength", "severity"]),
        ({"statistics__baseline": "pool:who"}, ["statistics.baseline: pool who", "mini_yfcc", "none"]),
        ({"statistics__baseline": "who"}, ["statistics.baseline: 'who'", "pool:<name>"]),
        (
            {"sources__mini_wit__samples": 4799},
            ["4800 samples of mini_wit", "only 4799", "Lower the size (sources.mini_wit.sizes"],
        ),
        (
            {"mixtures__x": {"shares": PAIR, "sizes": [11002]}, "sources__mini_wit__samples": 6000},
            [
                "mixtures.x.sizes: 11002 samples of x need 5501 of source mini_laion",
                "only 5500",
                "sources.mini_laion.samples",
            ],
        ),
        (
            {"sizes": [600, 9600]},
            [
                "sizes: 9600 samples of mini_yfcc need",
                "only 5500",
                "these also have too few: mini_laion (5500), mini_cc12m (5500)",
            ],
        ),
        ({"sizes": [600, 63]}, ["sizes: 63 samples of mini_yfcc", "batch_size: 64", "Raise the size"]),
    ],
)
def test_a_mistake_is_named_with_its_value_and_the_way_out(changes, words):
    with pytest.raises(ExperimentError) as error:
        load(changed(**changes))
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


def test_all_mistakes_are_told_at_once_one_line_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mistakes = {
        "sourcs": {},
        "download__thread": 3,
        "sources__mini_wit__samples": 2400,
        "sources__mine": {"metadata": {"path": "gone.csv", "format": "csv"}, "samples": 6000},
        "sizes": [32, 1200, 4800],
        "mixtures__x": {"shares": {"x": 1, "mini_wit": 1}},
        "mixtures__y": {"shares": {"mini_yffc": 1, "who": 1}},
        "ensembles__e": {"shares": {"mini_lion": 1, "mini_wit": 1}},
        "filters": {
            "f": {"from": "mini_yfc", "method": "sql", "where": "x >"},
            "g": {"from": "mini_wit", "method": "clip_score", "teacher": {"pool": "mini_wit", "size": 600}},
            "h": {"from": "mini_wit", "method": "deduplicate", "similarity": 0.9, "distance": 3},
        },
        "reference": "mini_imagnet",
        "claims": [{"best": ["mini_wti"], "shift": "mini_sketsh"}],
        "costs__trained_per_second": {"mini_rm": 1},
        "statistics__baseline": "pool:mini_imagent",
        "similarity": {"teacher": {"pool": "mini_wit", "size": 1200, "seed": 7}},
    }
    expected = [
        "the experiment: unknown key sourcs. Did you mean sources?",
        "download: unknown key thread. Did you mean threads?",
        "sizes: 4800 samples of mini_wit need 4800 of source mini_wit, which has only 2400",
        "sizes: 32 samples of mini_yfcc are fewer than one batch",
        "mixtures.y.shares: mini_yffc is not a pool of this experiment. Did you mean mini_yfcc?",
        "mixtures.y.shares: who is not a pool of this experiment. Name one of",
        "mixtures.x: is derived from itself (x -> x)",
        "ensembles.e.shares: mini_lion is not a pool of this experiment. Did you mean mini_laion?",
        "filters.f.from: mini_yfc is not a source or a filter of this experiment. Did you mean mini_yfcc?",
        "filters.g: method clip_score has none of threshold, fraction",
        "filters.g.teacher.size: mini_wit has no model of size 600, only of 32, 1200, 4800 (sizes)",
        "filters.h: has distance, of hashes, and similarity, of embeddings. Remove one of them",
        "similarity.teacher.seed: this experiment has no seed 7. Name one of: 0",
        "reference: mini_imagnet is not a test set. Did you mean mini_imagenet?",
        "claims: best has mini_wti, which is not a source. Did you mean mini_wit?",
        "claims: mini_sketsh is not a shift. Did you mean mini_sketch?",
        "costs.trained_per_second: mini_rm is not an architecture. Did you mean mini_rn?",
        "statistics.baseline: pool mini_imagent is not in the experiment. Did you mean mini_imagenet?",
        "filters.f.where: 'x >'",
        "sources.mine.metadata: gone.csv: there is no such file",
    ]
    with pytest.raises(ExperimentError) as error:
        load(changed(**mistakes))
    lines = str(error.value).splitlines()
    assert len(lines) == len(expected), lines
    for line, words in zip(lines, expected, strict=True):
        assert line.startswith(words)


def test_all_that_the_schema_refuses_is_told_at_once():
    mistakes = {"seed": "one", "sizes": [0, 1.5], "download__quality": 101, "architectures__mini_rn__device": "cpus"}
    del (config := changed(**mistakes))["reference"]
    with pytest.raises(ExperimentError) as error:
        load(config)
    lines = str(error.value).splitlines()
    keys = ["the experiment", "architectures.mini_rn.device", "download.quality", "seed", "sizes.0", "sizes.1"]
    assert [line.partition(":")[0] for line in lines] == keys
    assert "Did you mean cpu?" in lines[1]


@pytest.mark.parametrize("key", ["experiment", "sources", "architectures", "testsets", "reference", "sizes"])
def test_a_missing_key_is_named(key):
    config = changed()
    del config[key]
    with pytest.raises(ExperimentError, match=f"'{key}' is a required property"):
        load(config)


def test_the_miniweb_has_no_images_of_other_lists():
    own = {METADATA: {"path": "x.csv", "format": "csv"}, "download__proxy": "miniweb"}
    with pytest.raises(
        ExperimentError, match="download.proxy: miniweb does not serve the images of mini_yfcc. Write none"
    ):
        load(changed(**own))


def test_near_duplicates_by_similarity_need_a_teacher_that_is_not_made_from_them():
    similar = {"from": "mini_wit", "method": "deduplicate", "similarity": 0.9, "sizes": [600]}
    with pytest.raises(ExperimentError, match="filters.unlike.similarity: is of the embeddings of a teacher"):
        load(changed(filters={"unlike": similar}))
    teacher = {"similarity": {"teacher": {"pool": "unlike", "size": 600}}}
    with pytest.raises(ExperimentError, match="filters.unlike: is derived from itself"):
        load(changed(filters={"unlike": similar}, **teacher))
    experiment = load(changed(filters={"unlike": similar}, similarity={"teacher": {"pool": "mini_yfcc", "size": 600}}))
    assert experiment.device_of_teacher("unlike") == "cpu"
    assert "distance" not in experiment.filters["unlike"]
