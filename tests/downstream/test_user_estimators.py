"""Estimators named on the command line: how they are found, and that they are scored."""

import sys

import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.user_estimators import load_estimators
from tests.downstream.test_user_table import judged, table

__all__ = ["judged", "table"]  # fixtures of a user's table

FILE = """
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

small_forest = RandomForestClassifier(3)
nothing = None

class Needy:
    def __init__(self, size):
        self.size = size

class Unlicensed:
    def __init__(self):
        raise RuntimeError("no licence\\nfor this machine")
"""
BROKEN = {
    "half_written": "def forest(:", "no_gpu": "raise RuntimeError('no GPU')",
    "a_script": "raise SystemExit(0)",
}  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module `my_probes` in the working directory."""
    for name, text in {"my_probes": FILE, **BROKEN}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_probes"
    sys.modules.pop("my_probes", None)


def test_classes_are_called_and_objects_taken(own):
    names = ["sklearn.ensemble:RandomForestClassifier", f"{own}:small_forest"]
    forest, small = load_estimators(names).items()
    assert (forest[0], type(forest[1])) == ("RandomForestClassifier", RandomForestClassifier)
    assert (small[0], small[1].n_estimators) == ("small_forest", 3)
    assert load_estimators([]) == {}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["RandomForestClassifier"], "estimator=RandomForestClassifier: write package.module:Name"),
        ([":Name"], "estimator=:Name: write package.module:Name"),
        (["a:b:c"], "estimator=a:b:c: write package.module:Name"),
        (["no_such_module:X"], "No module named 'no_such_module'; install the package, or put"),
        (["..:X"], "estimator=..:X: write package.module:Name"),
        (["my_probes:smal_forest"], "no 'smal_forest' in my_probes .did you mean 'small_forest'"),
        (["my_probes:n"], "no 'n' in my_probes; valid: RandomForestClassifier, SVC, small_forest$"),
        (["half_written:X"], "SyntaxError: invalid syntax .*line 1.; correct half_written"),
        (["no_gpu:X"], "RuntimeError: no GPU; correct no_gpu"),
        (["a_script:X"], "SystemExit: 0; correct a_script"),  # not a silent success
        (["my_probes:Unlicensed"], "RuntimeError: no licence for this machine; name an object"),
        (["my_probes:nothing"], "no 'nothing' in my_probes"),
        (["my_probes:Needy"], "missing 1 required .* 'size'; name an object of the class"),
        (["my_probes:SVC", "sklearn.svm:SVC"], "another estimator is called SVC; rename one"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(own, names, message):
    assert own == "my_probes"
    with pytest.raises(DataError, match=message) as raised:
        load_estimators(names)
    assert "\n" not in str(raised.value)


def test_they_are_scored_beside_the_studys_probes(own, judged, tmp_path):
    judged(estimator=[f"{own}:small_forest"])
    scores = pd.read_csv(tmp_path / "new" / "sis-scores.csv")
    by_probe = scores.groupby("probe")["method"].unique()
    assert set(by_probe["small_forest"]) == {"image", "expression", "concat"}
    assert {"linear", "mlp"} < set(by_probe.index)
    sis = pd.read_csv(tmp_path / "new" / "sis.csv")
    assert "small_forest" in set(sis["probe"])
