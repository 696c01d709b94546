"""Configuration files: keys that stand twice, what is no YAML, words that are no files, and what an error says of them."""

import copy

import pytest
from snakemake.utils import update_config

from testbed.experiment.errors import ExperimentError
from testbed.planning.config_files import check_command, configuration_line, repeated_keys, replace_whole


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes mine.yaml into the working directory."""
    monkeypatch.chdir(tmp_path)
    return (tmp_path / "mine.yaml").write_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 0\nseeds: [0]\n", []),
        ("seed: 0\nsizes: [1]\nseed: 0\n", ["line 3: key seed is there twice, first in line 1."]),
        ("a: {b: 1, c: 2, b: 3}\n", ["line 1: key a.b is there twice, first in line 1."]),
        ("a:\n- b: 1\n- b: 1\n  b: 2\n", ["line 4: key a.1.b is there twice, first in line 3."]),
        (
            "a: 1\n'a': 2\n\"a\": 3\n",
            ["line 2: key a is there twice", "line 3: key a is there twice, first in line 1."],
        ),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}\n", []),
        ("a: &x {b: 1, b: 2}\nc: *x\n", ["line 1: key a.b is there twice", "line 1: key c.b is there twice"]),
    ],
)
def test_keys_that_stand_twice_are_found_wherever_they_are(write, text, expected):
    write(text)
    found = repeated_keys("mine.yaml")
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert line.startswith(f"mine.yaml, {words}") and line.endswith("Remove one of them.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1\nb: 2\n", "mine.yaml, line 2, column 2: is not YAML"),
        ("a: 1\n\tb: 2\n", "mine.yaml, line 2, column 1: is not YAML"),
        ("a: b: c\n", "mine.yaml, line 1, column 5: is not YAML: mapping values are not allowed"),
        ("a: 1\n{b: 1}: 2\n", "mine.yaml, line 2, column 1: is not YAML"),
        ("a: 1\n---\nb: 2\n", "mine.yaml, line 2, column 1: is not YAML"),
        ("", "mine.yaml: has no keys"),
        ("- seed\n", "mine.yaml: has no keys"),
        ("a: \x07\n", "mine.yaml: is not YAML"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(write, text, words):
    write(text)
    with pytest.raises(ExperimentError) as error:
        repeated_keys("mine.yaml")
    assert str(error.value).startswith(words)


@pytest.mark.parametrize(
    "words",
    [
        ["--configfile", "mine.yaml"],
        ["results/a.csv", "plan", "--configfile", "mine.yaml"],
        ["--configfile", "mine.yaml", "mine.yaml", "-n", "plan"],
        ["--configfile=mine.yaml", "plan"],
        ["--configfiles", "mine.yaml", "--", "plan"],
        ["--configfile", "settings"],
        ["plan"],
        ["plan", "--config", "seed=1", "experiment=paper", "names=[a, b]", "odd=[a", "-n"],
        ["--config", "base64//c2VlZD0x"],
    ],
)
def test_sound_commands_pass(write, tmp_path, words):
    write("seed: 1\n")
    (tmp_path / "settings").write_text("seed: 1\n")
    check_command(["snakemake", *words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["mine.yaml", "plan"],
            "plan was read as.* Write targets before it: uv run snakemake plan --configfile mine.yaml$",
        ),
        (["plan", "mine.yaml", "-n"], "uv run snakemake plan --configfile mine.yaml$"),
        (["all"], "all was read as a configuration file.*uv run snakemake all$"),
        # A product may be there already, and even be one that Snakemake can read.
        (["mine.yaml", "results/experiment.json"], "^Error: results/experiment.json was read as"),
        (["mine.yaml", "results/models/m/manifest.json"], "uv run snakemake results/models/m/manifest.json --conf"),
        (["mine.yaml", "gone.yaml"], "gone.yaml: there is no such configuration file"),
    ],
)
def test_targets_behind_configfile_are_told_apart_from_files(write, tmp_path, words, expected):
    write("seed: 1\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/experiment.json").write_text("{}")
    with pytest.raises(SystemExit, match=expected):
        check_command(["snakemake", "--configfile", *words])


def test_targets_behind_config_are_told_apart_from_settings():
    expected = "^Error: plan was read as a setting.*key=value: uv run snakemake plan --config experiment=paper$"
    with pytest.raises(SystemExit, match=expected):
        check_command(["snakemake", "--config", "experiment=paper", "plan", "-n"])


@pytest.mark.parametrize("setting", ["seeds=[0, 1, 2]", "statistics={margin: 2}", "cards={make: [true]}"])
def test_numbers_in_a_list_behind_config_are_not_read_as_text(setting):
    key, value = setting.split("=")
    with pytest.raises(SystemExit) as error:
        check_command(["snakemake", "--config", setting])
    assert f"--config {setting}: " in str(error.value) and f"Write `{key}: {value}` into a file" in str(error.value)


def test_shares_are_replaced_as_a_whole():
    config = {"mixtures": {"a": {"shares": {"x": 1, "y": 1, "z": 2}, "title": "A"}, "b": {"shares": {"x": 1}}}}
    replace_whole(config, {"mixtures": {"a": {"shares": {"x": 1, "z": 2}}, "b": {"title": "B"}, "c": None}})
    assert config["mixtures"] == {"a": {"shares": {"x": 1, "z": 2}, "title": "A"}, "b": {"shares": {"x": 1}}}
    for layer in (None, {"mixtures": None}, {"ensembles": {"a": {"shares": None}}}):
        replace_whole(config, layer)
    assert config["mixtures"]["a"]["shares"] == {"x": 1, "z": 2}


def test_the_kind_of_a_test_set_or_source_is_replaced():
    """The layers of a run from the bottom up. They are merged already."""
    layers = [
        {
            "testsets": {"a": {"retrieve": "x"}, "b": {"retrieve": "y"}},
            "sources": {"s": {"metadata": {"path": "p"}, "samples": 3}},
        },
        {"testsets": {"a": {"path": "here"}}, "sources": {"s": {"shards": {"path": "*.tar"}}}},
        {"testsets": {"b": {"task": "retrieval"}}},
    ]
    config: dict = {}
    for layer in layers:
        update_config(config, copy.deepcopy(layer))
    for layer in layers:
        replace_whole(config, layer)
    assert config["testsets"] == {"a": {"path": "here"}, "b": {"retrieve": "y", "task": "retrieval"}}
    assert config["sources"] == {"s": {"shards": {"path": "*.tar"}, "samples": 3}}


@pytest.mark.parametrize("mistake", [{"a": None}, {"a": "v2"}, None])
@pytest.mark.parametrize("section", ["testsets", "mixtures"])
def test_a_value_in_the_place_of_an_entry_is_left_to_the_check_of_the_experiment(section, mistake):
    layers = [{section: {"a": {"path": "here", "shares": {"x": 1}}}}, {section: mistake}]
    config = {section: mistake}
    for layer in layers:
        replace_whole(config, layer)
    assert config == {section: mistake}


def test_an_error_says_what_the_configuration_is_made_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, mine = ["config/config.yaml", "config/demo.yaml"], tmp_path / "mine.yaml"
    alone = configuration_line(own, [], "demo", {})
    assert alone == "Configuration: config/config.yaml + config/demo.yaml (experiment: demo, the default)."
    merged = configuration_line(own, [mine], "demo", {"seed": 1})
    assert "config/demo.yaml + mine.yaml (experiment: demo, the default). mine.yaml has no key experiment" in merged
    assert configuration_line(own[:1], [mine], "mine", {"experiment": "mine"}) == (
        "Configuration: config/config.yaml + mine.yaml (experiment: mine)."
    )
