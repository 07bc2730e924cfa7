"""The words of the commands on a table of one's own, and the places that they write to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cell_synergy.downstream import run_benchmarks
from cell_synergy.downstream.spatial import __main__ as spatial

ROOT = Path(__file__).parents[2]
USUAL = ["image=i", "expression=e", "label=l", "donor=d"]
MORE = {run_benchmarks: [], spatial: ["section=s", "unit_um=55"]}
BESIDE = {run_benchmarks: ["-scores", "-information"], spatial: ["-scores"]}
NAMES = {run_benchmarks: "sis.csv", spatial: "spatial.csv"}
COMMANDS = [run_benchmarks, spatial]


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Enter a folder with a table; let the work be writing alone, and return what was run."""
    monkeypatch.chdir(tmp_path)
    Path("my.h5ad").write_text("precious")
    Path("f").write_text("precious")
    words = []

    def work(args):
        words.append(args)
        for ending in ("", "-scores", "-information"):
            args.out.with_name(f"{args.out.stem}{ending}.csv").write_text("result")

    monkeypatch.setattr(run_benchmarks, "run_on_table", work)
    monkeypatch.setattr(spatial, "run", work)
    return words


def call(command, *words):
    command.main([*USUAL, *MORE[command], *words])


def content():
    found = (path for path in Path().rglob("*") if path.is_file())
    return {str(p): p.read_text() for p in found if not p.name.endswith(".written.json")}


MINE = {"my.h5ad": "precious", "f": "precious"}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("my.h5ad", r"out=my\.h5ad: a table's name ends in \.csv"),
        ("sis", r"a table's name ends in \.csv.*write out=sis\.csv or out=sis/"),
        ("my.h5ad/", r"out=my\.h5ad/.* and units=my\.h5ad, which is read, lie in each other"),
        ("my.h5ad/x.csv", r"out=my\.h5ad/x.csv and units=my\.h5ad, which is read"),
        ("f/x.csv", r"f: .*(file|folder)"),
        ("/proc/x.csv", r"/proc.*: (no such file|no right|not allowed)"),
    ],
)
def test_a_place_that_is_none_is_told_before_anything_is_read(command, ran, out, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        call(command, "units=my.h5ad", f"out={out}")
    assert not ran
    assert content() == MINE


@pytest.mark.parametrize("command", COMMANDS)
def test_any_file_of_a_person_at_any_place_stays(command, ran):
    for ending in ("", *BESIDE[command]):
        path = Path(f"x{ending}.csv")
        path.write_text("mine")
        with pytest.raises(SystemExit, match=f"^error: out=x.csv: {path} is there already"):
            call(command, "units=my.h5ad", "out=x.csv")
        assert content() == MINE | {str(path): "mine"}
        path.unlink()
    assert not ran


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_gets_the_table_and_keeps_all_else(command, ran):
    Path("results").mkdir()
    Path("results", "notes.txt").write_text("mine")
    for _ in range(2):
        call(command, "units=my.h5ad", "out=results")
    name = NAMES[command]
    assert content().items() >= (MINE | {"results/notes.txt": "mine"}).items()
    assert Path("results", name).read_text() == "result"
    call(command, "units=my.h5ad")
    assert Path("runs", name).read_text() == "result"
    assert len(ran) == 3


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_that_is_read_is_no_output(command):
    Path("in.csv").write_text("precious")
    Path("link.csv").symlink_to("in.csv")
    for units, out in (("in.csv", "in.csv"), ("in.csv", "./in.csv"), ("link.csv", "in.csv")):
        with pytest.raises(
            SystemExit, match=f"^error: out={Path(out)} would replace units={units}"
        ):
            call(command, f"units={units}", f"out={out}")
    with pytest.raises(SystemExit, match="which is read"):
        call(command, "units=in.csv", "out=link.csv")
    assert Path("in.csv").read_text() == "precious"


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unit=my.h5ad"], r"argument\.unit: unknown parameter \(did you mean 'units'"),
        (["my.h5ad"], r"'my\.h5ad' is not of the form .*; did you mean units=my\.h5ad\?"),
        (["my data/a.h5ad"], "did you mean units=my data/a.h5ad"),
        (["units=a.h5ad", "labels=x"], r"argument\.labels: unknown .*did you mean 'label'"),
        (["units=a.h5ad", "label=x"], r"label is given twice \(label=l and label=x\)"),
        ([], r"argument\.units: missing; add units=VALUE"),
    ],
)
def test_misspelt_words_are_answered_with_the_right_ones(command, words, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}") as caught:
        call(command, *words)
    assert "dataset" not in str(caught.value)


@pytest.mark.usefixtures("ran")
def test_the_two_ways_of_the_benchmark_are_told_apart(tmp_path):
    (tmp_path / "params.yaml").write_text("method: comm\n")
    for words in (["evaluation.modality=multimodal"], ["--config-name", "downstream"]):
        with pytest.raises(SystemExit, match=r"data\.dataset=NAME is missing"):
            run_benchmarks.main(words)
    with pytest.raises(SystemExit, match=r"argument\.probe: unknown"):
        call(run_benchmarks, "units=my.h5ad", "probe.strengths=2")


LIGHT = """
import runpy, sys
sys.argv = ["command", "--help"]
try:
    runpy.run_module(sys.argv0, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "scipy", "sklearn", "anndata", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "module",
    ["finetuning.run_alignment", "finetuning.run_expert", "downstream.run_benchmarks",
     "downstream.spatial"],
)  # fmt: skip
def test_help_needs_no_numerical_library(module, tmp_path):
    program = LIGHT.replace("sys.argv0", repr(f"cell_synergy.{module}"))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"python -m cell_synergy.{module}" in done.stdout


@pytest.mark.parametrize(
    "script", sorted([*ROOT.glob("stages/[!_]*.py"), *ROOT.glob("examples/example_*.py")])
)
def test_every_script_answers_help_with_what_it_does(script):
    source = script.read_text()
    assert "with report_errors(__doc__" in source
    assert "sys.argv[1:]" in source
