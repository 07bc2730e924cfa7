"""A small coverage study: its data sets, their summary, and what an interrupted run keeps."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import coverage as study
from cell_synergy.core.config import load
from cell_synergy.core.errors import ConfigError
from cell_synergy.studies.calibration import GATES, PARTS, CalibrationConfig

DESIGNS = ["5x40", "8x40"]


@pytest.fixture
def computed(monkeypatch, tmp_path):
    """Replace the estimates by intervals that hold the truth."""
    seen = []

    def rows(replicate, probe, cells):  # noqa: ARG001 - the signature of `gate_rows`
        seen.append(replicate)
        part = {"case": "xor", "quantity": "S", "truth": 0.5, "estimate": 0.4, "low": 0.3}
        yield part | {"high": 0.6}

    monkeypatch.setattr(study, "gate_rows", rows)
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    return seen


def args(out, **changes):
    given = {"designs": DESIGNS, "repeats": 2, "seed": 20_000, "out": out}
    return study.Args(**(given | changes))


def test_every_data_set_of_every_design_is_in_the_summary(computed, tmp_path):
    study.main(args(tmp_path / "coverage.csv"))
    assert [(each.donors, each.n_obs, each.repeat) for each in computed] == [
        (5, 40, 0), (5, 40, 1), (8, 40, 0), (8, 40, 1),
    ]  # fmt: skip
    summary = pd.read_csv(tmp_path / "coverage.csv")
    assert summary["intervals"].tolist() == [2, 2]
    assert (summary["coverage"] == 1).all()


def test_an_interrupted_run_computes_what_is_missing(computed, tmp_path, monkeypatch):
    whole = vars(study)["gate_rows"]

    def interrupted(replicate, probe, cells):
        if len(computed) == 3:
            raise KeyboardInterrupt
        return whole(replicate, probe, cells)

    monkeypatch.setattr(study, "gate_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.main(args(tmp_path / "coverage.csv"))
    assert not (tmp_path / "coverage.csv").exists()
    monkeypatch.setattr(study, "gate_rows", whole)
    study.main(args(tmp_path / "coverage.csv"))
    assert len(computed) == 4


def test_no_data_set_is_one_that_anything_was_fitted_on(computed):
    seed = load(CalibrationConfig, "calibrate").seed
    with pytest.raises(ConfigError, match=r"is calibrate\.seed, .*; choose another"):
        study.main(args(Path("coverage.csv"), seed=seed))
    assert not computed


def test_twenty_repeats_are_400_intervals_a_design():
    assert len(GATES) * len(PARTS) * 20 == 400


def test_a_design_of_another_form_is_refused(computed):
    with pytest.raises(ValueError, match="8by40"):
        study.main(args(Path("coverage.csv"), designs=["8by40"]))
    assert not computed
