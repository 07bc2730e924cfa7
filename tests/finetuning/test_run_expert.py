"""The public command on a tiny workspace: it writes under runs/ and says what was mistyped."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy import encoders
from cell_synergy.encoders import Encoder
from cell_synergy.finetuning import run_expert
from tests import labelled
from tests.finetuning import small

ROOT = Path(__file__).parents[2]
STAGE = (
    "python -m stages.embed pairs=data/pairs/${item.dataset}.h5ad raw=data/raw/${item.dataset} "
    "frozen=data/experts/${item.dataset}/${item.expert} "
    "out=data/embeddings/${item.dataset}/${item.expert}.h5ad"
)
LABELS = "python -m stages.pairs labels=data/labels/${item.dataset}.h5ad"
QUICK = ["finetune.tasks=region", "finetune.rounds=1", "finetune.steps=1"]


class Closed(Encoder):
    """An expert without a network."""

    def freeze(self, reference, out):
        raise NotImplementedError

    def embed(self, pairs, raw, expert):
        raise NotImplementedError


class Tiny(Closed):
    """An expert that opens."""

    def cell_embedder(self, pairs, expert):  # noqa: ARG002
        return small.cell_embedder(np.asarray(pairs.X.todense()))


@pytest.fixture
def workspace(units, make_dataset, tmp_path, monkeypatch):
    yaml = YAML(typ="safe")
    params = yaml.load(ROOT / "params.yaml")
    params["data"]["tiny"] = make_dataset().model_dump(mode="json", exclude_none=True)
    for task in params["data"]["tiny"]["tasks"].values():
        task["exclude"] = list(task.get("exclude", []))
        if task["kind"] == "gene_panel":
            del task["exclude"]
    params["data"]["tiny"]["roles"] = {"study": ["A", "B", "C", "D"]}
    params["finetune"] = small.SETTINGS
    params["encoders"]["tiny"] = {}
    with (tmp_path / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    with (tmp_path / "dvc.yaml").open("w") as file:
        yaml.dump({"stages": {"pairs": {"cmd": LABELS}, "embed": {"cmd": STAGE}}}, file)
    labelled.write(tmp_path / "data", "tiny", units, make_dataset().tasks)
    folder = tmp_path / "data/experts/tiny/tiny"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"sha256": "d" * 64}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(encoders, "load", lambda *_: Tiny())
    return tmp_path


def command(*words):
    run_expert.main(["--config-name", "finetune", "data.dataset=tiny", *words])


def files(folder):
    """Return the bytes of all files, records of what was written aside."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: bytes_ for name, bytes_ in found.items() if not name.endswith(".written.json")}


def test_tuning_writes_under_runs_only(workspace, capsys):
    before = set(files(workspace))
    command("expert.name=tiny", *QUICK)
    out = capsys.readouterr().out.removeprefix("written: ").rstrip()
    assert out.startswith("runs/finetune/tiny/tiny,")
    assert out.endswith(",".join(QUICK))
    written = set(files(workspace)) - before
    assert all(path.startswith(f"{out}/") for path in written)
    assert {f"{out}/scores.csv", f"{out}/scores.safetensors"} < written
    for fold in "ABCD":
        assert f"{out}/region-{fold}-0/adapter_model.safetensors" in written
    scores = pd.read_csv(f"{out}/scores.csv")
    assert set(scores.method) == {"tiny lora"}
    assert set(scores.task) == {"region"}
    base = json.loads(Path(out, "region-A-0/base.json").read_text())
    assert base.pop("parameters") == "adapter_model.safetensors"
    assert base == {"expert": "tiny", "sha256": "d" * 64}


def test_a_second_run_has_the_same_bytes(workspace):
    for out in ("one", "two"):
        command("expert.name=tiny", *QUICK, f"out={out}")
    assert files(workspace / "one") == files(workspace / "two")
    assert not list((workspace / "scratch").iterdir())


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"expert\.name=NAME is missing"),
        (["expert.name=tiny", "finetune.how=lra"], r"finetune\.how: .*'lora'"),
        (["expert.name=tiny", "finetune.lora.rnk=3"], "did you mean 'rank'"),
        (["expert.name=tiny", "finetune.tasks=regoin"], "did you mean 'region'"),
        (["expert.name=tiny", "finetune.last.layers=5", "finetune.how=last"], "more than the 2"),
        (["expert.name=tiny", "frozn=x"], "did you mean 'frozen'"),
        (["expert.name=tiny", "pairs=nowhere.h5ad"], "nowhere.h5ad: no such pairs"),
        (["expert.name=tiny", "labels=nowhere.h5ad"], "nowhere.h5ad: no such labels"),
        (["expert.name=tiny", "frozen=nowhere"], "nowhere: no frozen expert there; make it"),
    ],
)
def test_a_mistake_ends_the_command_with_its_remedy(words, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        command(*words)
    assert not Path("runs").exists()


@pytest.mark.usefixtures("workspace")
def test_an_expert_without_a_network_is_refused(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *_: Closed())
    with pytest.raises(SystemExit, match="fine-tuning needs an expression expert that is a net"):
        command("expert.name=tiny")


def test_help_is_the_commands_own_description(capsys):
    run_expert.main(["--help"])
    assert capsys.readouterr().out == run_expert.__doc__
