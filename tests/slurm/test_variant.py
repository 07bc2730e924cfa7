import pytest
from dvc.exceptions import DvcException

from slurm.batch import Batch
from slurm.variant import override, save_experiment

PARAMS = "# the focal method\nmethod: comm\ntraining:\n  rate: 1.0e-3\nlist:\n- 1\n"


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path / "params.yaml"


def test_setting_one_value_changes_one_line(params):
    override(["method=byol", "training.rate=0.5"])
    changed = PARAMS.replace("comm", "byol").replace("1.0e-3", "0.5")
    assert params.read_text() == changed


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("method=a,b", "-S method=a,b: one value; submit a variant for each"),
        ("methd=a", "-S methd=a: Could not override 'methd'"),
        ("other.yaml:method=a", "-S other.yaml:method=a: there is no file other.yaml"),
    ],
)
def test_overrides_that_cannot_be_set_are_refused(params, word, message):
    with pytest.raises(DvcException, match=message):
        override([word])
    assert params.read_text() == PARAMS


def test_the_repository_itself_is_not_deleted_as_a_clone(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS)
    batch = Batch(tmp_path, "0" * 40, [])
    with pytest.raises(DvcException, match="the repository itself, not the clone of a variant"):
        save_experiment(batch, [])
    assert (tmp_path / "params.yaml").read_text() == PARAMS
