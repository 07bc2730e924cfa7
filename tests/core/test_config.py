from pathlib import Path

import pytest
from pydantic import ValidationError

from cell_synergy import encoders, models
from cell_synergy.core.config import (
    Config,
    arguments,
    load,
    merge,
    parse,
    read_param,
    read_section,
    validate,
)
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.messages import suggest
from cell_synergy.core.overrides import Word, pop_choice
from cell_synergy.data.config import DatasetConfig

PARAMS = """
method: comm
training:
  lr: 1e-05
  steps: 010
  resume: yes
  nested: {depth: 2}
data:
  lung: {kind: a}
  her2st: {kind: b}
"""


class Nested(Config):
    depth: int


class Training(Config):
    lr: float
    steps: int
    resume: str
    nested: Nested


@pytest.fixture(autouse=True)
def _params(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)


def test_yaml_is_read_as_version_1_2():
    found = read_section("training")
    assert found["lr"] == 1e-05
    assert isinstance(found["lr"], float)
    assert found["steps"] == 10
    assert found["resume"] == "yes"


class Kinds(Config):
    lr: float = 0.0
    steps: int = 0
    resume: bool = False
    sizes: tuple[int, ...] = ()
    anything: object = None


def test_overrides_are_read_as_yaml_1_2_where_no_text_is_wanted():
    given = ["lr=1e-05", "steps=010", "resume=no", "sizes=[1, 2]", "anything={a: [1, x]}"]
    found = validate(Kinds, parse(given), "argument")
    assert found == Kinds(lr=1e-05, steps=10, resume=False, sizes=(1, 2), anything={"a": [1, "x"]})
    assert parse(["a.b=x=y", "c="]) == {"a": {"b": "x=y"}, "c": ""}


def test_an_override_wins_and_leaves_its_neighbours():
    found = load(Training, "training", parse(["nested.depth=5", "lr=0.1"]))
    assert found == Training(lr=0.1, steps=10, resume="yes", nested=Nested(depth=5))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.b=1", "a.b=2"], r"a\.b is given twice \(a\.b=1 and a\.b=2\); keep one of them"),
        (["a=x", "b=y", "a=x"], r"a is given twice \(a=x and a=x\)"),
        (["a.b=1", "a=2"], r"a is given twice \(a\.b and a=2\)"),
    ],
)
def test_a_word_that_is_given_twice_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words)


def test_merging_changes_neither_side():
    base, top = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "d": {"e": 5}}
    assert merge(base, top) == {"a": {"b": 4, "c": 2}, "d": {"e": 5}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}
    assert top == {"a": {"b": 4}, "d": {"e": 5}}


def test_a_bare_word_is_short_for_its_kind_where_keys_are_merged_below_it():
    base = {"split": "holdout", "text": Word("text", "x")}
    assert merge(base, {"split": {"blocks": 5}}) == base | {
        "split": {"kind": "holdout", "blocks": 5}
    }
    assert merge(base, {"text": {"y": 1}})["text"] == {"y": 1}


def test_parameters_are_frozen():
    found = load(Training, "training")
    with pytest.raises(ValidationError, match="frozen"):
        setattr(found, "lr", 1.0)  # noqa: B010 - mypy knows, too
    with pytest.raises(ValidationError, match="frozen"):
        setattr(found.nested, "depth", 1)  # noqa: B010


def test_an_unknown_data_set_is_refused_with_the_nearest():
    message = r"data has no 'lungs' \(did you mean 'lung'\?; valid: her2st, lung\)"
    with pytest.raises(ConfigError, match=message):
        read_section("data.lungs")


def test_an_unknown_section_or_value_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"params\.yaml has no 'trainng' .*'training'"):
        read_section("trainng")
    with pytest.raises(ConfigError, match=r"params\.yaml has no 'methods' .*'method'"):
        read_param("methods")
    assert read_param("method") == "comm"
    assert read_param("training.nested.depth") == 2
    with pytest.raises(ConfigError, match=r"training\.nested has no 'dept' .*'depth'"):
        read_param("training.nested.dept")


def test_a_single_value_is_no_section():
    message = r"params\.yaml, line 2: 'method' is 'comm', a single value, not a section"
    with pytest.raises(ConfigError, match=message):
        read_section("method")
    with pytest.raises(ConfigError, match=r"training\.lr has no 'x'"):
        read_section("training.lr.x")


@pytest.mark.parametrize(
    ("kind", "wrong", "right"), [(models, "com", "comm"), (encoders, "pcaa", "pca")]
)
def test_an_unknown_method_or_expert_is_refused_with_the_nearest(kind, wrong, right):
    with pytest.raises(ConfigError, match=f"no .* '{wrong}' .did you mean '{right}'"):
        kind.load(wrong, {})


def test_an_unknown_parameter_is_refused_with_the_nearest():
    message = r"training\.stepz: unknown parameter \(did you mean 'steps'\?"
    with pytest.raises(ConfigError, match=message):
        load(Training, "training", parse(["stepz=1"]))
    with pytest.raises(ConfigError, match=r"training\.nested\.dept: .*did you mean 'depth'"):
        load(Training, "training", parse(["nested.dept=1"]))


def test_a_misspelt_key_of_a_task_is_refused_with_that_kind_of_tasks_keys(dataset):
    values = dataset().model_dump()
    values["tasks"]["region"] |= {"exclud": []}
    with pytest.raises(ConfigError) as caught:
        validate(DatasetConfig, values, "data.x")
    meant = "(did you mean 'exclude'?; valid: exclude, kind)"
    assert str(caught.value) == f"data.x.tasks.region.exclud: unknown parameter {meant}"


def test_every_mistake_is_named_with_its_place_and_value():
    with pytest.raises(ConfigError) as caught:
        validate(Training, {"lr": "fast", "steps": 1, "nested": {"depth": []}}, "training")
    first, second, third = str(caught.value).split("\n")
    assert first.startswith("training.lr: ")
    assert first.endswith("got 'fast'")
    assert second == "training.resume: missing; set it in params.yaml or as training.resume=VALUE"
    assert third.startswith("training.nested.depth: ")


def test_a_missing_argument_of_a_stage_says_how_to_give_it():
    assert arguments(Nested, ["depth=3"]) == Nested(depth=3)
    with pytest.raises(ConfigError, match=r"^argument\.depth: missing; add depth=VALUE$"):
        arguments(Nested, [])
    with pytest.raises(ConfigError, match=r"argument\.dept: unknown .*'depth'"):
        arguments(Nested, ["depth=3", "dept=3"])


@pytest.mark.parametrize("word", ["lr", "=1", "a..b=1", ".a=1", "--lr"])
def test_a_word_without_key_and_value_is_refused(word):
    with pytest.raises(ConfigError, match="not of the form"):
        parse([word])


def test_a_word_that_is_no_yaml_is_refused_where_no_text_is_wanted():
    with pytest.raises(ConfigError, match=r"^steps=\[1: the value is not valid YAML"):
        validate(Kinds, parse(["steps=[1"]), "argument")


def test_a_file_alone_is_answered_with_the_word_that_takes_it():
    with pytest.raises(ConfigError, match=r"'my\.h5ad' is not .*; did you mean units=my\.h5ad\?"):
        parse(["my.h5ad"], "units")


def test_a_misspelt_name_is_told_once_and_not_as_missing_too():
    with pytest.raises(ConfigError) as caught:
        arguments(Nested, ["dpeth=3"])
    assert str(caught.value) == (
        "argument.dpeth: unknown parameter (did you mean 'depth'?; valid: depth)"
    )


def test_a_single_value_for_a_block_is_refused_with_the_way_to_write_it():
    with pytest.raises(ConfigError, match=r"^a=5 is a single value; write a\.NAME=5$"):
        merge({"b": 1}, parse(["a=5"])["a"])
    with pytest.raises(ConfigError, match=r"^a=5 is a single value"):
        validate(Nested, parse(["a=5"])["a"], "a")


def test_the_spelling_of_params_is_answered_with_that_of_the_command_line():
    words = parse(["models.name=dcca", "models.dcca.batch_size=64"])
    message = r"models\.dcca\.batch_size: .*; did you mean models\.batch_size=VALUE\?"
    with pytest.raises(ConfigError, match=message):
        pop_choice(words["models"], "name", "models")


def test_a_wrong_value_of_params_is_told_with_its_line():
    text = Path("params.yaml").read_text().replace("depth: 2", "depth: deep")
    Path("params.yaml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"^training\.nested\.depth: .*, got 'deep' \(params.yaml, line 7\)$"
    ):
        load(Training, "training")
    with pytest.raises(ConfigError, match=r"^training\.steps: .*, got 'x'$"):
        load(Training, "training", parse(["steps=x", "nested.depth=1"]))


TOP = {
    "threads: many": ("threads", "threads is 'many', and has to be a whole number"),
    "threads: 0": ("threads", "threads is 0, and has to be a whole number, 1 or more"),
    "threads: '2'": ("threads", "threads is '2', and has to be a whole number"),
    "threads: true": ("threads", "threads is True, and has to be a whole number"),
    "threads:": ("threads", "threads is empty, and has to be a whole number"),
    "datasets: lung": ("datasets", "datasets is 'lung', and has to be a list of data sets"),
    "datasets: lung, breast": ("datasets", "datasets is 'lung, breast', and has to be a list"),
    "datasets: []": ("datasets", r"datasets is \[\], and has to be a list of data sets, one at l"),
    "datasets: [1]": ("datasets", r"datasets is \[1\], and has to be a list"),
    "models: []": ("models", r"models is \[\], and has to be a block of methods"),
    "models: {}": ("models", r"models is \{\}, and has to be a block of methods"),
    "models: [comm]": ("models", r"models is \['comm'\], and has to be a block of methods"),
    "method: 3": ("method", "method is 3, and has to be the name of a method"),
    "method: [comm]": ("method", r"method is \['comm'\], and has to be the name of a method"),
}


@pytest.mark.parametrize(("line", "expected"), TOP.items())
def test_a_top_level_value_of_a_wrong_kind_is_told_with_its_line(line, expected):
    name, message = expected
    Path("params.yaml").write_text(f"# a comment\nalign: {{}}\n{line}\n")
    with pytest.raises(ConfigError, match=rf"^params\.yaml, line 3: {message}"):
        read_param(name)


def test_a_key_cannot_be_both_value_and_section():
    with pytest.raises(ConfigError, match="'a' already has a single value"):
        parse(["a=1", "a.b=2"])


def test_a_choice_is_taken_out_of_its_block():
    block = {"name": "comm", "width": 8}
    assert pop_choice(block, "name", "models") == ("comm", {"width": 8})
    assert block == {"name": "comm", "width": 8}
    with pytest.raises(ConfigError, match=r"models\.name=NAME is missing"):
        pop_choice({}, "name", "models")
    with pytest.raises(
        ConfigError, match=r"models=comm is a single value; write models\.name=comm"
    ):
        pop_choice("comm", "name", "models")


def test_a_name_near_no_other_gets_the_list_alone():
    assert suggest("zzz", ["b", "a"]) == "; valid: a, b"
    assert not suggest("zzz", [])
