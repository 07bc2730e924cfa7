"""Detection limits of the study's own tests, from its tables, and of studies to come."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy.stats import entropy

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import PAPER_METHODS
from cell_synergy.studies.config import LimitsConfig
from cell_synergy.studies.detection import detection_limit, detection_power, study_sd
from cell_synergy.studies.limits import (
    COLUMNS,
    DESIGN,
    GAIN,
    OVER_CEILING,
    STUDY,
    design_limits,
    study_limits,
    xor_ceiling,
)
from stages.limits import Args, main

METHODS = ["cca", "comm", "concat", "bilinear"]
DONORS, ENTROPY, T = 8, 2.0, 2.3646  # t quantile of 7 degrees of freedom
TEST: dict[str, Any] = {
    "donors": DONORS,
    "methods": 3,
    "references": 2,
    "correlation": 0.5,
    "level": 0.05,
}


@pytest.fixture
def config():
    return LimitsConfig(
        power=0.8, correlation=0.5, between=0.03, within=0.5, donors=[5, 8],
        observations=[50, 200], accuracy=[0.87, 0.98],
    )  # fmt: skip


def sis(sd=0.05, p=0.5, **of_task):
    """Return SIS rows; gains of all methods vary by `sd`, or by that of a task in `of_task`."""
    rows = [
        {"dataset": "lung", "task": task, "method": m, "metric": metric, "probe": probe,
         "fold": fold, "n_donors": DONORS, "gain": 0.1, "p_corrected": p,
         "gain_low": 0.1 - T * spread / np.sqrt(DONORS),
         "gain_high": 0.1 + T * spread / np.sqrt(DONORS)}
        for task, spread in ({"a": sd, "b": sd, "c": sd, "donor": sd} | of_task).items()
        for metric in ("bits", "macro_f1")
        for probe in ("linear", "mlp", "late fusion")
        for fold in ("all", "T1")
        for m in [*METHODS, "pca"]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def spectrum(half=0.1):
    rows = [
        {"dataset": "lung", "quantity": "over_ceiling", "method": m, "task": "a", "metric": "bits",
         "value": 0.2, "low": 0.2 - half, "high": 0.2 + half, "p_corrected": 0.5,
         "n_donors": float(DONORS)}
        for m in [*METHODS, "pca"]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def scores():
    rows = [
        {"task": task, "donor": f"T{d}", "n": 100 + d, "entropy": ENTROPY}
        for task in "abc"
        for d in range(DONORS)
    ]
    return pd.DataFrame(rows)


def truth(gain=0.2, synergy=0.1):
    rows = [
        {"task": "a", "seen": seen, "redundant": 0.0, "unique_image": 0.1,
         "unique_expression": 0.2, "synergy": synergy * ENTROPY, "entropy": ENTROPY, "gain": share}
        for seen, share in (("tissue", 1.0), ("embeddings", gain))
    ]  # fmt: skip
    return pd.DataFrame(rows)


NO_TRUTH = truth().iloc[:0]


def limits(config, table=None, known=NO_TRUTH, **changed):
    table = sis(**changed) if table is None else table
    return study_limits("lung", table, spectrum(), scores(), known, config)


def row(table, task="a", method="comm", quantity=GAIN, probe="linear"):
    rows = table[(table["task"] == task) & (table["method"] == method) & (table["probe"] == probe)]
    (one,) = rows[rows["quantity"] == quantity].to_dict("records")
    return one


def test_every_tested_method_has_a_limit_in_its_family(config):
    table = limits(config)
    assert list(table.columns) == COLUMNS
    assert set(table["method"]) == set(METHODS)
    assert set(table["probe"]) == {"linear", "mlp"}
    assert set(table["task"]) == {"a", "b", "c"}
    assert set(table["metric"]) == {"bits"}
    assert set(table["table"]) == {STUDY}
    assert row(table)["methods"] == 3
    assert (row(table, method="bilinear")["family"], row(table, method="bilinear")["methods"]) == (
        "beyond the paper", 1
    )  # fmt: skip
    assert row(table)["observations"] == pytest.approx(103.5)


def test_a_limit_is_that_of_the_test_in_use_at_the_measured_spread(config):
    one = row(limits(config))
    assert (one["spread"], one["sd"]) == pytest.approx((0.05, 0.05), rel=1e-3)
    assert one["limit"] == pytest.approx(detection_limit(one["sd"], power=0.8, **TEST))
    alone = row(limits(config), method="bilinear")
    assert alone["limit"] < one["limit"]  # of a smaller family


def test_gains_over_the_ceiling_have_one_reference_and_are_shares(config):
    one = row(limits(config), quantity=OVER_CEILING)
    assert one["gain"] == pytest.approx(0.1)
    assert one["spread"] == pytest.approx(0.05 * np.sqrt(DONORS) / T, rel=1e-3)
    expected = detection_limit(one["sd"], power=0.8, **TEST | {"references": 1})
    assert one["limit"] == pytest.approx(expected)


def test_gains_of_probes_that_read_nothing_do_not_lower_the_limit(config):
    silent = row(limits(config, a=1e-6))
    assert silent["spread"] == pytest.approx(1e-6, rel=1e-3)
    assert silent["sd"] == pytest.approx(0.05, rel=1e-3)  # the median of the tasks
    found = row(limits(config, a=1e-6, p=0.01))
    assert found["sd"] == pytest.approx(1e-6, rel=1e-3)  # gains that are there show how they vary


def test_half_of_the_scale_is_that_of_the_family(config):
    table = sis(p=0.01)
    wide = table["method"].isin(["cca", "concat"])
    table.loc[wide, "gain_high"] += 2 * (table["gain_high"] - table["gain_low"])[wide]
    one = row(limits(config, table))
    assert one["sd"] == pytest.approx(0.05 * np.sqrt((1 + np.mean([1, 9, 9])) / 2), rel=1e-3)
    assert row(limits(config, table), method="cca")["sd"] == pytest.approx(0.15, rel=1e-3)


def test_the_truth_stands_beside_the_limit_with_the_power_that_it_promises(config):
    table = limits(config, known=truth())
    one = row(table)
    assert (one["tissue_gain"], one["true_gain"], one["ceiling"]) == pytest.approx((1.0, 0.2, 0.1))
    assert one["power"] == pytest.approx(detection_power(0.2, one["sd"], **TEST))
    over = row(table, quantity=OVER_CEILING)
    assert over["true_gain"] == pytest.approx((0.1 + 0.2 + 0.2) / ENTROPY)
    assert np.isnan(
        [row(table, task="b")[name] for name in ("true_gain", "ceiling", "power")]
    ).all()


def test_with_few_donors_nothing_can_be_found(config):
    few = sis().assign(n_donors=4, gain_low=np.nan, gain_high=np.nan, p_corrected=np.nan)
    one = row(limits(config, few, known=truth()))
    assert one["limit"] == np.inf
    assert np.isnan(one["power"])


def test_power_is_the_inverse_of_the_limit():
    limit = detection_limit(0.05, power=0.8, **TEST)
    assert detection_power(limit, 0.05, **TEST) == pytest.approx(0.8, abs=0.02)
    assert detection_power(0.0, 0.05, **TEST) < 0.05
    assert detection_power(1.0, 0.05, **TEST) == 1.0
    assert detection_power(1.0, 0.05, **TEST | {"donors": 4}) == 0.0
    rising = [detection_power(gain, 0.05, **TEST) for gain in (-0.1, 0.02, 0.05, 0.08)]
    assert rising == sorted(rising)


@pytest.mark.parametrize("accuracy", [0.87, 0.95, 1.0])
def test_the_ceiling_of_an_xor_is_that_of_its_accuracy(accuracy):
    right = accuracy**2 + (1 - accuracy) ** 2
    expected = 1 - entropy([right, 1 - right], base=2)
    assert xor_ceiling(accuracy) == pytest.approx(expected, abs=1e-6)


def test_studies_to_come_are_tabulated_by_donors_observations_and_accuracy(config):
    table = design_limits(config)
    assert list(table.columns) == COLUMNS
    assert len(table) == 2 * 2 * 2
    assert set(table["table"]) == {DESIGN}
    one = table[(table["donors"] == 8) & (table["observations"] == 200)].iloc[0]
    assert one["sd"] == pytest.approx(study_sd(0.03, 0.5, 200.0))
    design = TEST | {"methods": len(PAPER_METHODS)}
    assert one["limit"] == pytest.approx(detection_limit(one["sd"], power=0.8, **design))
    assert one["share"] == pytest.approx(one["limit"] / xor_ceiling(0.87))


@pytest.fixture
def args(tmp_path, monkeypatch, config):
    """A folder with the tables of one data set."""
    for name in ("sis", "truth", "spectrum", "scores/lung"):
        (tmp_path / name).mkdir(parents=True)
    sis().to_csv(tmp_path / "sis/lung.csv", index=False)
    truth().to_csv(tmp_path / "truth/lung.csv", index=False)
    spectrum().to_csv(tmp_path / "spectrum/lung.csv", index=False)
    of_method = scores().assign(
        dataset="lung", method="comm", metric="bits", probe="linear", fold="0", seed=0, value=0.1,
        inner=0.1, chance=0.0,
    )  # fmt: skip
    of_method.to_csv(tmp_path / "scores/lung/comm.csv", index=False)
    params = {
        "method": "comm", "datasets": ["lung"], "models": {"comm": {}},
        "limits": config.model_dump(),
    }  # fmt: skip
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    monkeypatch.chdir(tmp_path)
    folders = {name: tmp_path / name for name in ("sis", "scores", "truth", "spectrum")}
    return Args(**folders, out=tmp_path / "limits.csv")


def test_the_stage_writes_both_tables_in_equal_bytes(args):
    main(args)
    table = pd.read_csv(args.out)
    assert list(table.columns) == COLUMNS
    assert set(table["table"]) == {STUDY, DESIGN}
    first = args.out.read_bytes()
    main(args)
    assert args.out.read_bytes() == first


def test_a_missing_table_is_named(args):
    Path(args.truth / "lung.csv").unlink()
    with pytest.raises(DataError, match=r"truth/lung\.csv: no such table; compute it with"):
        main(args)
