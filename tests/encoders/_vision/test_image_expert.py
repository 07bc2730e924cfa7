"""An embedding that is interrupted or killed continues where it was, and only as it was."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from cell_synergy.core.resume.scratch import scratch_folder
from cell_synergy.encoders._vision import transformer


class _Interrupted:
    """Count the batches that a network sees, and stop at one."""

    def __init__(self, monkeypatch, stop=None):
        self.seen, self.stop, self.run = 0, stop, transformer.features
        monkeypatch.setattr(transformer, "features", self)

    def __call__(self, network, x, pooling):
        if not x.is_meta:
            self.seen += 1
            if self.seen == self.stop:
                raise KeyboardInterrupt
        return self.run(network, x, pooling)


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_an_embedding_goes_on_where_it_was_interrupted(make, embed, monkeypatch, stop):
    whole = embed(make())  # 8 batches: 10 units of each of two sections, 3 or 2 at a time
    with monkeypatch.context() as patch:
        _Interrupted(patch, stop)
        with pytest.raises(KeyboardInterrupt):
            embed(make())
    with monkeypatch.context() as patch:
        counter = _Interrupted(patch)
        found = embed(make())
    assert counter.seen == 8 - (stop - 1)
    assert found.tobytes() == whole.tobytes()
    assert not list(scratch_folder().iterdir())


@pytest.mark.parametrize("what", ["coordinates", "image", "settings", "weights", "names"])
def test_what_changed_since_is_embedded_anew(
    make, embed, monkeypatch, tissue, network, weights, what
):
    table, raw = tissue
    with monkeypatch.context() as patch:
        _Interrupted(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            embed(make())
    one = make()
    if what == "coordinates":
        table.obsm["spatial"][3, 0] += 0.25
    elif what == "image":
        (raw / "fine.png").write_bytes((raw / "coarse.png").read_bytes())
    elif what == "settings":
        one = make(mean=[0.5, 0.5, 0.5])
    elif what == "weights":
        torch.save({n: t * 2 for n, t in network.state_dict().items()}, weights)
    else:
        table.obs_names = [f"v{i}" for i in range(20)]
    counter = _Interrupted(monkeypatch)
    embed(one)
    assert counter.seen == 8


EMBED = """
import json, os, signal, sys
from pathlib import Path
import anndata as ad
import numpy as np
from cell_synergy import encoders
from cell_synergy.encoders._vision import transformer

settings, pairs, raw, frozen, out, stop = json.loads(sys.argv[1])
seen, run = [], transformer.features

def features(*arguments):
    seen.append(1)
    if len(seen) == stop:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(*arguments)

transformer.features = features
found = encoders.load("uni2_h", settings).embed(ad.read_h5ad(pairs), Path(raw), Path(frozen))
np.save(out, found)
print(len(seen))
"""


@pytest.mark.slow
def test_a_killed_process_is_resumed_by_another(make, embed, tissue, monkeypatch, tmp_path):
    table, raw = tissue
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    whole = embed(make())
    table.write_h5ad(tmp_path / "table.h5ad")
    settings = make().model_dump(mode="json")
    paths = [tmp_path / "table.h5ad", raw, tmp_path / "frozen", tmp_path / "out.npy"]

    def process(stop):
        argument = json.dumps([settings, *map(str, paths), stop])
        return subprocess.run(
            [sys.executable, "-c", EMBED, argument], check=False, capture_output=True
        )

    killed = process(5)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = process(0)
    assert resumed.returncode == 0, resumed.stderr
    assert int(resumed.stdout) == 4
    assert np.load(paths[-1]).tobytes() == whole.tobytes()
    assert not list(scratch_folder().iterdir())
