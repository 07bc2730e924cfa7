import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

from cell_synergy import encoders
from cell_synergy.core.device import scratch
from cell_synergy.encoders._vision import transformer
from cell_synergy.encoders._vision.resumption import resumed

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(size=(n, 4)).astype(np.float32) for n in (3, 3, 2)]
KEY: dict[str, Any] = {"weights": "ab", "units": [1, 2]}


def _write(count, key=None):
    """Add batches up to `count`, then raise an interruption."""
    with suppress(KeyboardInterrupt), resumed(key or KEY) as record:
        for batch in BATCHES[len(record.completed) : count]:
            record.add(batch)
        raise KeyboardInterrupt


def _completed(key=None):
    batches = []
    with suppress(KeyboardInterrupt), resumed(key or KEY) as record:
        batches += record.completed
        raise KeyboardInterrupt
    return batches


def _file():
    (file,) = scratch().rglob("batches")
    return file


def test_batches_survive_an_interruption():
    _write(2)
    np.testing.assert_equal(_completed(), BATCHES[:2])
    _write(3)
    np.testing.assert_equal(_completed(), BATCHES)


def test_the_record_is_deleted_after_success():
    _write(2)
    with resumed(KEY):
        pass
    assert not list(scratch().iterdir())


def test_an_embedding_with_other_dependencies_is_not_resumed():
    _write(2)
    assert not _completed({**KEY, "weights": "cd"})
    assert len(_completed({"units": [1, 2], "weights": "ab"})) == 2  # in any order of the keys


@pytest.mark.parametrize("n_bytes", [1, 16, 17, 40])
def test_an_incomplete_batch_is_computed_again(n_bytes):
    _write(3)
    file = _file()
    start = file.stat().st_size - 16 - BATCHES[2].nbytes
    os.truncate(file, start + n_bytes)
    np.testing.assert_equal(_completed(), BATCHES[:2])
    _write(3)
    np.testing.assert_equal(_completed(), BATCHES)


def test_damaged_batches_are_not_used():
    _write(3)
    content = bytearray(_file().read_bytes())
    content[16 + BATCHES[0].nbytes + 20] ^= 1
    _file().write_bytes(content)
    np.testing.assert_equal(_completed(), BATCHES[:1])


def test_concurrent_records_are_separate():
    with resumed(KEY) as first:
        first.add(BATCHES[0])
        with resumed(KEY) as second:
            assert not second.completed
            second.add(BATCHES[1])
    _write(0)
    assert not _completed()


class _Interrupted:
    """Count the batches that a network embeds, and interrupt at one of them."""

    def __init__(self, monkeypatch, stop=None):
        self.count, self.stop, self.run = 0, stop, transformer.features
        monkeypatch.setattr(transformer, "features", self)

    def __call__(self, network, x, pooling):
        if not x.is_meta:
            self.count += 1
            if self.count == self.stop:
                raise KeyboardInterrupt
        return self.run(network, x, pooling)


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_an_interrupted_embedding_is_resumed(make, embed, monkeypatch, stop):
    whole = embed(make())  # 8 batches: 10 units of each of two sections, 3 or 2 at a time
    with monkeypatch.context() as patch:
        _Interrupted(patch, stop)
        with pytest.raises(KeyboardInterrupt):
            embed(make())
    with monkeypatch.context() as patch:
        counter = _Interrupted(patch)
        resumed_embedding = embed(make())
    assert counter.count == 8 - (stop - 1)
    assert resumed_embedding.tobytes() == whole.tobytes()
    assert not list(scratch().iterdir())


@pytest.mark.parametrize("changed", ["coordinates", "image", "settings", "weights", "names"])
def test_an_embedding_with_changed_inputs_is_not_resumed(
    make, embed, monkeypatch, tissue, network, weights, changed
):
    pairs, raw = tissue
    with monkeypatch.context() as patch:
        _Interrupted(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            embed(make())
    expert = make()
    if changed == "coordinates":
        pairs.obsm["spatial"][3, 0] += 0.25
    elif changed == "image":
        (raw / "fine.png").write_bytes((raw / "coarse.png").read_bytes())
    elif changed == "settings":
        expert = make(mean="0.5, 0.5, 0.5")
    elif changed == "weights":
        torch.save({n: t * 2 for n, t in network.state_dict().items()}, weights)
    else:
        pairs.obs_names = [f"v{i}" for i in range(20)]
    counter = _Interrupted(monkeypatch)
    embed(expert)
    assert counter.count == 8


KILLED = """
import json, os, signal, sys
from pathlib import Path
import anndata as ad
from cell_synergy import encoders
from cell_synergy.encoders._vision import transformer

settings, pairs, raw, frozen = json.loads(sys.argv[1])
seen, run = [], transformer.features

def features(*arguments):
    seen.append(1)
    if len(seen) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(*arguments)

transformer.features = features
encoders.load("uni2_h", settings).embed(ad.read_h5ad(pairs), Path(raw), Path(frozen))
"""


@pytest.mark.slow
def test_the_embedding_of_a_killed_process_is_resumed(make, embed, tissue, monkeypatch, tmp_path):
    pairs, raw = tissue
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    whole = embed(make())
    pairs.write_h5ad(tmp_path / "pairs.h5ad")
    settings = make().model_dump(mode="json")
    settings |= {c: ", ".join(map(str, settings[c])) for c in ("mean", "std")}
    arguments = [settings, str(tmp_path / "pairs.h5ad"), str(raw), str(tmp_path / "frozen")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(arguments)], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    counter = _Interrupted(monkeypatch)
    resumed_embedding = encoders.load("uni2_h", settings).embed(pairs, raw, tmp_path / "frozen")
    assert counter.count == 4
    assert resumed_embedding.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 40, b"\xff" * 8 + bytes(8), bytes(15), b"GIF89a" * 9]
)
def test_a_damaged_record_is_used_up_to_the_damage(garbage):
    _write(2)
    with _file().open("ab") as file:
        file.write(garbage)
    np.testing.assert_equal(_completed(), BATCHES[:2])
    _write(3)
    np.testing.assert_equal(_completed(), BATCHES)
