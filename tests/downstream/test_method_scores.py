"""Scores and posteriors on disk: as they were, the same bytes every time, errors with a remedy."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.evaluate import Evaluation
from cell_synergy.downstream.method_scores import read_posteriors, write_scores

POSTERIORS = {
    f"task{i}/holdout{suffix}": value
    for i in range(9)
    for suffix, value in (
        ("", np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(4, 3) + i)),
        ("/probe", np.array("linear" if i % 2 else "mlp")),
    )
}
EVALUATION = Evaluation(pd.DataFrame({"value": [0.1234567]}), POSTERIORS)
WRITE = (
    "import sys; from pathlib import Path; from tests.downstream import test_method_scores as t; "
    "t.write_scores(t.EVALUATION, Path(sys.argv[1]))"
)


def test_posteriors_are_read_as_they_were_written(tmp_path):
    write_scores(EVALUATION, tmp_path / "comm.csv")
    found = read_posteriors(tmp_path / "comm.safetensors")
    assert set(found) == set(POSTERIORS)
    for name, expected in POSTERIORS.items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype.kind == expected.dtype.kind
    assert (tmp_path / "comm.csv").read_text() == "value\n0.12346\n"


def test_every_process_writes_the_same_bytes(tmp_path):
    for seed in ("1", "2", "3"):
        path = str(tmp_path / f"{seed}.csv")
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", WRITE, path], check=True, env=environment)
    assert len({path.read_bytes() for path in tmp_path.glob("*.safetensors")}) == 1


def test_no_output_is_a_zip_file_whose_bytes_depend_on_the_version_of_python(tmp_path):
    write_scores(EVALUATION, tmp_path / "comm.csv")
    assert len(list(tmp_path.iterdir())) == 2
    assert not any(zipfile.is_zipfile(path) for path in tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_damaged_file_is_told_with_a_remedy(tmp_path, share):
    write_scores(EVALUATION, tmp_path / "comm.csv")
    path = tmp_path / "comm.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"comm\.safetensors: .*compute it again with `dvc repro`"):
        read_posteriors(path)


def test_a_missing_file_is_told_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="compute it again with `dvc repro`"):
        read_posteriors(tmp_path / "comm.safetensors")
