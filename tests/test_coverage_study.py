"""A small coverage study: which data sets are computed, and when their summary is written."""

import pandas as pd
import pytest

from benchmarks import coverage as study
from cell_synergy.core.config import load
from cell_synergy.core.errors import ConfigError
from cell_synergy.studies import calibration
from cell_synergy.studies.calibration import GATES, PARTS, CalibrationConfig


@pytest.fixture
def computed(monkeypatch, tmp_path):
    """Replace the estimates by intervals that hold the truth, and two data sets of each design."""
    seen = []

    def rows(replicate, probe, cells):  # noqa: ARG001 - the signature of `gate_rows`
        seen.append(replicate)
        part = {"case": "xor", "quantity": "S", "truth": 0.5, "estimate": 0.4, "low": 0.3}
        yield part | {"high": 0.6}

    monkeypatch.setattr(study, "gate_rows", rows)
    monkeypatch.setattr(study, "REPEATS", 2)
    monkeypatch.setattr(study, "__file__", str(tmp_path / "coverage.py"))
    return seen


def test_data_sets_are_computed_once_and_a_summary_is_written_when_all_are_there(
    computed, tmp_path, capsys
):
    designs = load(CalibrationConfig, "calibrate").designs
    study.main(tmp_path / "rows", [designs[0]])
    assert len(computed) == 2
    assert not (tmp_path / "coverage.csv").exists()
    assert f"{2 * len(designs) - 2} data sets to be computed" in capsys.readouterr().out
    study.main(tmp_path / "rows", [])
    assert len(computed) == 2 * len(designs)
    summary = pd.read_csv(tmp_path / "coverage.csv")
    assert summary["intervals"].tolist() == [2] * len(designs)
    assert (summary["coverage"] == 1).all()


def test_results_of_another_code_or_configuration_are_not_mixed_in(computed, tmp_path, monkeypatch):
    study.main(tmp_path, [])
    count = len(computed)

    def other_cells(kind, section):
        cells = {"cells": 5} if section == "information" else {}
        return load(kind, section).model_copy(update=cells)

    monkeypatch.setattr("benchmarks.coverage.load", other_cells)
    study.main(tmp_path, [])
    assert len(computed) == 2 * count
    monkeypatch.setattr(calibration, "__file__", str(tmp_path / "coverage.csv"))
    study.main(tmp_path, [])
    assert len(computed) == 3 * count


def test_no_data_set_is_one_that_anything_was_fitted_on(computed, tmp_path):
    study.main(tmp_path / "rows", [])
    assert {replicate.config.seed for replicate in computed} == {study.SEED}
    assert load(CalibrationConfig, "calibrate").seed != study.SEED


def test_every_design_has_400_intervals_at_least():
    assert len(GATES) * len(PARTS) * study.REPEATS >= 400


def test_an_unknown_design_is_refused(computed, tmp_path):
    with pytest.raises(ConfigError, match="no design 7x7; give some of 5x200"):
        study.main(tmp_path / "rows", ["7x7"])
    assert not computed
