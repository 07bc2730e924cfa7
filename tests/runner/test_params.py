"""Parameters are read once, with the outcome of DVC."""

import pytest
from dvc.dependency import param
from dvc.repo import Repo

from runner.params import params_read_once

PARAMS = """
rate: 1.0e-5
texts: [x, y]
nested: {deep: {one: 1, two: 2}, "3": three}
nothing: null
"""
KEYS = ["rate", "texts", "texts.0", "nested.deep", "nested.deep.two", "nested.3", "nothing"]
STAGES = (
    "".join(
        f"  s{i}: {{cmd: echo > o{i}, params: ['{key}'], outs: [o{i}]}}\n"
        for i, key in enumerate(KEYS)
    )
    + "  whole: {cmd: echo > whole, params: [params.yaml: ], outs: [whole]}\n"
)


@pytest.fixture
def computed(repository, call_main, monkeypatch):
    where = repository(STAGES, params=PARAMS)
    assert call_main(where, "runner.local", "--jobs", "4")[0] == 0
    monkeypatch.chdir(where)
    return where


def status():
    with Repo() as repo:
        return repo.status()


@pytest.mark.parametrize(
    "text",
    [
        PARAMS,
        PARAMS.replace("x, y", "z, y").replace("two: 2", "two: 3"),
        PARAMS.replace("rate: 1.0e-5", "").replace(" deep:", " shallow:"),
        "rate: 3\n",
    ],
)
def test_the_status_is_that_of_dvc(computed, text):
    (computed / "params.yaml").write_text(text)
    theirs = status()
    with params_read_once():
        assert status() == theirs
    assert bool(theirs) == (text != PARAMS)


def test_a_file_is_read_once_and_anew_the_next_time(computed, monkeypatch):
    read = []
    load = param.load_path

    def count(path, fs):
        read.append(path)
        return load(path, fs)

    monkeypatch.setattr(param, "load_path", count)
    (computed / "params.yaml").write_text(PARAMS)
    with Repo() as repo, params_read_once():
        for _ in range(2):
            params = param.read_param_file(
                repo.fs, "params.yaml", ["rate", "nested.3"], flatten=True
            )
            assert params == {"rate": 1e-5, "nested.3": "three"}
    assert read == ["params.yaml"]
    (computed / "params.yaml").write_text("rate: 2\n")
    with Repo() as repo, params_read_once():
        assert param.read_param_file(repo.fs, "params.yaml", ["rate"], flatten=True) == {"rate": 2}
