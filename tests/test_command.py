from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from cell_synergy.commands import command
from cell_synergy.commands.command import StageArguments
from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError
from cell_synergy.core.overrides import pop_choice

DVC = """
stages:
  evaluate:
    cmd: >-
      python -m stages.evaluate data.dataset=${item.dataset} models.name=${item.method}
      pairs=data/pairs/${item.dataset}.h5ad
      out=results/probe/${item.dataset}/${item.method}.csv
"""
WORDS = ["data.dataset=mylab", "models.name=comm"]


class Args(Config):
    models: Any = Field(default_factory=dict)
    data: Any = Field(default_factory=dict)
    probe: Any = Field(default_factory=dict)
    evaluation: Any = Field(default_factory=dict)
    pairs: Path
    out: Path


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text("experts: {}\ndatasets: [lung]\n")
    monkeypatch.chdir(tmp_path)


def _command(argv):
    """Return the arguments that a command passes on."""
    passed = {}

    def run(args):
        passed.update(args.model_dump())
        for ending in (".csv", ".safetensors"):
            args.out.with_suffix(ending).write_text("result")

    command.command(argv, "How to use it.", "downstream", Args, _stage_of, run)
    return passed


def _stage_of(overrides):
    name, _ = pop_choice(overrides.get("models", {}), "name", "models")
    return StageArguments("evaluate", name, overrides)


def _written(argv, capsys):
    """Return where a command says that its result is, which is there."""
    _command(argv)
    path = Path(capsys.readouterr().out.removeprefix("written: ").rstrip())
    assert path.read_text() == path.with_suffix(".safetensors").read_text() == "result"
    return str(path)


def test_paths_are_the_stages_also_for_a_data_set_outside_the_list():
    assert _command(WORDS)["pairs"] == Path("data/pairs/mylab.h5ad")


def test_results_go_to_runs_by_default_and_never_to_results(capsys):
    assert _written(WORDS, capsys) == "runs/probe/mylab/comm.csv"
    assert _written(WORDS, capsys) == "runs/probe/mylab/comm.csv"
    assert not Path("results").exists()


def test_words_win_over_the_stages_paths_and_reach_the_command():
    found = _command([*WORDS, "out=mine.csv", "pairs=~/p.h5ad", "probe.strengths=2"])
    assert Path("mine.csv").read_text() == "result"
    assert found["pairs"] == Path.home() / "p.h5ad"
    assert found["probe"] == {"strengths": "2"}
    assert found["data"] == {"dataset": "mylab"}


@pytest.mark.parametrize("name", ["comm.csv", "comm.safetensors"])
def test_a_file_at_the_output_is_reported_before_anything_runs(name):
    ran: list[object] = []
    Path("mine").mkdir()
    Path("mine", name).write_text("mine")
    with pytest.raises(SystemExit, match=rf"error: out=.*{name} is there already.*choose another"):
        command.command(
            [*WORDS, "out=mine/comm.csv"], "", "downstream", Args, _stage_of, ran.append
        )
    assert not ran
    assert [path.name for path in Path("mine").iterdir()] == [name]
    assert Path("mine", name).read_text() == "mine"


def test_an_output_that_would_replace_an_input_is_refused():
    Path("mine.csv").write_text("pairs")
    with pytest.raises(SystemExit, match=r"out=mine.csv would replace pairs=mine.csv, which is"):
        _command([*WORDS, "out=mine.csv", "pairs=mine.csv"])
    assert Path("mine.csv").read_text() == "pairs"


def test_a_path_in_place_of_a_name_is_refused():
    for word in ("data.dataset=../x", "data.dataset=.."):
        with pytest.raises(SystemExit, match=r"error: data\.dataset=.* is a path, not a name"):
            _command([word, "models.name=comm"])


def test_without_words_the_help_is_printed_and_the_code_is_2(capsys):
    with pytest.raises(SystemExit) as caught:
        _command([])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "How to use it.\n"


def test_overrides_enter_the_name_so_that_runs_do_not_overwrite_each_other(capsys):
    words = [*WORDS, "probe.strengths=2", "evaluation.weights=runs/align/mylab/comm,models.lr=0.1"]
    assert _written(words, capsys) == (
        "runs/probe/mylab/comm,probe.strengths=2,evaluation.weights=comm,models.lr=0.1.csv"
    )
    assert _written([*WORDS, "pairs=other.h5ad"], capsys) == "runs/probe/mylab/comm.csv"


@pytest.mark.parametrize(
    "flag", [["--config-name", "downstream"], ["--config-name=downstream"], ["-cn", "downstream"]]
)
def test_the_reference_releases_configuration_name_is_accepted(flag):
    for words in ([*flag, *WORDS], WORDS, [*WORDS, *flag]):
        assert _command(words)["pairs"] == Path("data/pairs/mylab.h5ad")


def test_another_configuration_name_is_refused_with_the_right_one():
    message = r"error: --config-name downstrem: unknown \(did you mean 'downstream'"
    with pytest.raises(SystemExit, match=message):
        _command(["--config-name", "downstrem", *WORDS])
    with pytest.raises(SystemExit, match=r"--config-name align: unknown; valid: downstream"):
        _command(["--config-name=align", *WORDS])
    with pytest.raises(SystemExit, match=r"--config-name : unknown"):
        _command([*WORDS, "--config-name"])


def test_a_missing_data_set_is_named():
    with pytest.raises(SystemExit, match=r"error: data\.dataset=NAME is missing"):
        _command(["models.name=comm"])
    with pytest.raises(SystemExit, match=r"write data\.dataset=lung"):
        _command(["data=lung", "models.name=comm"])


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_printed_and_nothing_run(flag, capsys):
    assert _command([*WORDS, flag]) == {}
    assert capsys.readouterr().out == "How to use it.\n"


def test_unusable_data_end_the_command_with_one_line():
    def fail(args):
        raise DataError(f"{args.pairs}: no such pairs")

    with pytest.raises(SystemExit) as caught:
        command.command(WORDS, "", "downstream", Args, _stage_of, fail)
    assert caught.value.code == "error: data/pairs/mylab.h5ad: no such pairs"
