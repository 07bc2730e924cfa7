"""What is written on the command line, where text is wanted and where it is not."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from cell_synergy.core.config import Config, merge, parse, validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.overrides import Word
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.naming import Names
from cell_synergy.downstream.spatial.user_sections import UserSectionsConfig
from cell_synergy.downstream.user_table import UserTableConfig

WRITTEN = [
    "my data #1/a.h5ad", "run: 1/a.h5ad", "1", "0.5", "1e5", "010", "2024_01", "2024-01-02",
    "yes", "no", "true", "null", "~x#y", "[a", "a]", "{", "}", "{a: b}", "*x", "&x", "!x", "%x",
    "@x", "`x", "'x", '"1"', "-", "- a", "? a", "a: b", "a # b", "#", "x=y", "=", " a", "é",
    "\\n", "1:30", "nan", ".inf", "0x1F",
]  # fmt: skip
OWN = {"units": "a.h5ad", "image": "i", "expression": "e", "label": "l", "donor": "d"}


@pytest.mark.parametrize("text", WRITTEN)
def test_text_stays_as_it_is_written(text):
    for key in ("units", "image", "donor"):
        words = OWN | {key: text}
        found = validate(UserTableConfig, parse([f"{k}={v}" for k, v in words.items()]), "argument")
        assert str(getattr(found, key)) == text
    more = {"section": text, "composition": text, "unit_um": "55", "mpp": ".5"}
    tissue = validate(
        UserSectionsConfig, parse([f"{k}={v}" for k, v in (OWN | more).items()]), "argument"
    )
    assert (tissue.section, tissue.composition) == (text, text)
    assert (tissue.unit_um, tissue.mpp) == (55.0, 0.5)


@pytest.mark.parametrize("text", [text for text in WRITTEN if text != " a"])
def test_a_row_of_text_stays_as_it_is_written(text):
    for given, expected in ((text, (text,)), (f"x,{text} , y", ("x", text, "y"))):
        words = OWN | {"label": given, "joint": given}
        found = validate(UserTableConfig, parse([f"{k}={v}" for k, v in words.items()]), "argument")
        assert found.label == found.joint == expected


def test_a_row_may_be_written_as_a_list():
    words = OWN | {"label": "[1, yes, 'a, b']"}
    found = validate(UserTableConfig, parse([f"{k}={v}" for k, v in words.items()]), "argument")
    assert found.label == ("1", "yes", "a, b")
    with pytest.raises(ConfigError, match="label=a,,b: there is nothing between two commas"):
        validate(
            UserTableConfig,
            parse([f"{k}={v}" for k, v in (OWN | {"label": "a,,b"}).items()]),
            "argument",
        )


@pytest.mark.parametrize("text", ["run #1: all", "1", "yes", "~/sections", "on"])
def test_overrides_of_a_data_set_are_text_where_text_is_wanted(dataset, text):
    block = dataset(source={"kind": "folder", "folder": "x"}).model_dump(exclude_none=True)
    words = parse(
        [f"data.source.folder={text}", f"data.roles.study={text},B",
         f"data.tasks.region.exclude={text}", "data.unit_um=5e1",
         "data.tasks.panel.kind=gene_panel", "data.tasks.panel.genes=50"]
    )  # fmt: skip
    found = validate(DatasetConfig, merge(block, words["data"]), "data.x")
    assert found.source.model_dump()["folder"] == text
    assert found.roles["study"] == (text, "B")
    assert found.unit_um == 50.0
    tasks = {name: task.model_dump() for name, task in found.tasks.items()}
    assert tasks["region"]["exclude"] == (text,)
    assert tasks["panel"]["genes"] == 50


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["data.split=holdout", "data.roles.test=A,B"], {"split": {"kind": "holdout"}}),
        (["data.split.kind=leave-one-block-out", "data.split.blocks=5", "data.split.gap_um=336",
          "data.roles.study=A,B"],
         {"split": {"kind": "leave-one-block-out", "blocks": 5, "gap_um": 336.0}}),
        (["data.reader.units=spots", "data.roles.study=A,B"],
         {"reader": {"kind": "h5ad", "units": "spots"}}),
        (["data.source=manifest", "data.roles.study=A,B"], {"source": {"kind": "manifest"}}),
    ],
)  # fmt: skip
def test_an_override_of_a_block_or_of_a_key_of_it(dataset, words, changed):
    block = {"source": {"kind": "folder", "folder": "x"}, "reader": "h5ad", "unit_um": 50.0,
             "standardise": "donor", "split": "leave-one-donor-out", "tasks": {}}  # fmt: skip
    found = validate(DatasetConfig, merge(block, parse(words)["data"]), "data.x")
    role = "test" if changed.get("split", {}).get("kind") == "holdout" else "study"
    assert found == dataset(**block | changed, roles={role: ["A", "B"]})
    assert block["reader"] == "h5ad"


def test_a_key_that_its_block_does_not_have_is_refused(dataset):
    block = dataset().model_dump(exclude_none=True) | {"split": "leave-one-donor-out"}
    message = r"^data\.x\.split\.blocks: unknown parameter; valid: .*kind"
    with pytest.raises(ConfigError, match=message):
        validate(DatasetConfig, merge(block, parse(["data.split.blocks=5"])["data"]), "data.x")


class Kinds(Config):
    place: Path = Path()
    choice: Literal["1", "yes"] = "1"
    text: str | None = None
    names: Names = ()
    rows: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    by_name: dict[str, str] = Field(default_factory=dict)
    number: float | None = None
    share: Annotated[float, Field(ge=0)] = 0.0
    flag: bool = True
    either: int | str = 0


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("place=a b/#1", Path("a b/#1")), ("place=1", Path("1")), ("choice=yes", "yes"),
        ("choice=1", "1"), ("text=", None), ("text=null", "null"), ("names=1", ("1",)),
        ("rows=a, b", ("a", "b")), ("rows=[a, 1]", ("a", "1")), ("rows=[a]]", ("[a]]",)),
        ("counts=8", (8,)), ("counts=8, 010", (8, 10)), ("counts=[8]", (8,)),
        ("by_name.x=1", {"x": "1"}), ("number=", None), ("number=1e-05", 1e-05),
        ("number=null", None), ("share=.5", 0.5), ("flag=false", False), ("either=5", 5),
        ("either=five", "five"),
    ],
)  # fmt: skip
def test_the_type_of_a_parameter_says_what_a_word_means(word, value):
    found = validate(Kinds, parse([word]), "argument")
    assert getattr(found, word.partition("=")[0].partition(".")[0]) == value


def test_a_path_knows_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert validate(Kinds, parse(["place=~/x #1"]), "a").place == Path("/home/me/x #1")
    assert validate(Kinds, parse(["place=~nobody-here/x"]), "a").place == Path("~nobody-here/x")
    assert validate(Kinds, parse(["place=a~b"]), "a").place == Path("a~b")


class Blocks(Config):
    models: Any = Field(default_factory=dict)


def test_a_word_of_a_type_that_is_not_known_stays_a_word():
    given = validate(Blocks, parse(["models.name=010", "models.mlp.lr=1e-3"]), "argument").models
    assert given == {"name": "010", "mlp": {"lr": "1e-3"}}
    assert isinstance(given["mlp"]["lr"], Word)
    assert isinstance(validate(Blocks, parse(["models=comm"]), "argument").models, Word)
