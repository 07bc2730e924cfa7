import numpy as np
import pandas as pd
import pytest

from cell_synergy.downstream.spatial.distance import METHOD_ALONE, NOBODY, curves

DONORS = [f"T{i}" for i in range(6)]
PLACES = {
    "neighbours niche 1": ("niche", 1, 0.0, 100.0, 8.0),
    "neighbours niche 2": ("niche", 2, 100.0, 200.0, 8.0),
    "consistency": ("consistency", None, None, None, None),
}


@pytest.fixture
def table():
    """Return the curves of scores: macro F1 and bits of each method in two bands, and pairs."""

    def made(bits, donors=DONORS, *, in_bits=False, methods=("comm",)):
        rows = []
        f1 = {"image": 0.4, "expression": 0.3, **dict.fromkeys(methods, 0.5)}
        for task, place in PLACES.items():
            for method, value in f1.items():
                known = bits if task == "neighbours niche 2" else {}
                means = {"macro_f1": value, "bits": known.get(method, 0.5)}
                means = {"accuracy": value} if task == "consistency" else means
                for metric, mean in means.items():
                    for number, donor in enumerate(donors):
                        rows.append(
                            ["twin", method, task, metric, "linear", "holdout", donor, 0,
                             mean + 0.01 * number, 9, value, 0, 1.5, *place]
                        )  # fmt: skip
        names = ["dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value",
                 "n", "inner", "chance", "entropy", "target", "band", "inner_um", "outer_um",
                 "neighbours"]  # fmt: skip
        scores = pd.DataFrame(rows, columns=names)
        found = curves(scores)
        found = found[(found["metric"] == "bits") == in_bits]
        return found.set_index("task")

    return made


def test_a_curve_has_the_sis_of_every_band_and_its_radii(table):
    found = table({})
    assert found.index.tolist() == ["consistency", "neighbours niche 1", "neighbours niche 2"]
    assert found["sis"].tolist() == pytest.approx([0.1 / 0.425] * 3)
    assert found["band"].tolist() == [pd.NA, 1, 2]
    assert found["outer_um"].tolist()[1:] == [100, 200]
    assert (found["n_donors"] == 6).all()


def test_where_nobody_knows_anything_nothing_is_estimated(table):
    found = table({"image": -0.2, "expression": -0.2, "comm": -0.1})
    near, far = (found.loc[f"neighbours niche {band}"] for band in (1, 2))
    assert near["sis"] > 0
    assert np.isnan([far["sis"], far["low"], far["high"], far["p"], far["gain_low"]]).all()
    assert far["note"] == NOBODY
    assert not np.isnan(found.loc["consistency", "sis"])


def test_what_the_method_alone_knows_has_a_gain_in_bits_and_nothing_relative(table):
    alone = {"image": -0.2, "expression": -0.3, "comm": 0.1}
    far = table(alone).loc["neighbours niche 2"]
    assert far["note"] == METHOD_ALONE
    assert np.isnan([far["sis"], far["p"], far["gain_low"]]).all()
    bits = table(alone, in_bits=True).loc["neighbours niche 2"]
    assert bits["gain"] == pytest.approx(0.3 / 1.5)
    assert bits["p"] < 0.05
    assert np.isnan(bits["sis"])
    assert bits["note"] == METHOD_ALONE


def test_losing_less_than_experts_that_know_nothing_is_tested_and_not_found(table):
    nothing = {"image": -0.3, "expression": -0.3, "comm": -0.2}
    bits = table(nothing, in_bits=True).loc["neighbours niche 2"]
    assert bits["gain"] == pytest.approx(0.1 / 1.5)
    assert bits["p"] == bits["p_corrected"] == 1
    assert bits["note"] == NOBODY


def test_an_expert_knows_something_if_its_interval_over_donors_is_above_zero(table):
    noisy = {"image": -0.02, "expression": -0.02, "comm": 0.5}  # mean 0.005, donors 0.01 apart
    assert np.isnan(table(noisy).loc["neighbours niche 2", "sis"])
    clear = noisy | {"image": 0.01}
    assert table(clear).loc["neighbours niche 2", "sis"] == pytest.approx(0.1 / 0.425)


def test_under_five_donors_the_mean_has_to_be_above_zero(table):
    for mean, known in ((-0.01, True), (-0.02, False)):
        bits = {"image": mean, "expression": -0.2, "comm": -0.2}
        far = table(bits, donors=DONORS[:4]).loc["neighbours niche 2"]
        assert np.isnan(far["sis"]) != known


def test_experts_alone_have_no_curves(table):
    assert table({}, methods=()).empty
