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
    """Add `count` batches and be interrupted."""
    with suppress(KeyboardInterrupt), resumed(key or KEY) as record:
        for batch in BATCHES[len(record.done) : count]:
            record.add(batch)
        raise KeyboardInterrupt


def _done(key=None):
    found = []
    with suppress(KeyboardInterrupt), resumed(key or KEY) as record:
        found += record.done
        raise KeyboardInterrupt
    return found


def _file():
    (file,) = scratch().rglob("batches")
    return file


def test_batches_are_there_after_an_interruption_and_go_on():
    _write(2)
    np.testing.assert_equal(_done(), BATCHES[:2])
    _write(3)
    np.testing.assert_equal(_done(), BATCHES)


def test_nothing_is_left_after_success():
    _write(2)
    with resumed(KEY):
        pass
    assert not list(scratch().iterdir())


def test_other_work_is_not_taken_up():
    _write(2)
    assert not _done({**KEY, "weights": "cd"})
    assert len(_done({"units": [1, 2], "weights": "ab"})) == 2  # in whatever order it is said


@pytest.mark.parametrize("torn", [1, 16, 17, 40])
def test_a_batch_that_was_written_in_part_is_done_again(torn):
    _write(3)
    file = _file()
    start = file.stat().st_size - 16 - BATCHES[2].nbytes
    os.truncate(file, start + torn)
    np.testing.assert_equal(_done(), BATCHES[:2])
    _write(3)
    np.testing.assert_equal(_done(), BATCHES)


def test_numbers_that_changed_on_disk_are_not_used():
    _write(3)
    content = bytearray(_file().read_bytes())
    content[16 + BATCHES[0].nbytes + 20] ^= 1
    _file().write_bytes(content)
    np.testing.assert_equal(_done(), BATCHES[:1])


def test_two_at_once_do_not_disturb_each_other():
    with resumed(KEY) as first:
        first.add(BATCHES[0])
        with resumed(KEY) as second:
            assert not second.done
            second.add(BATCHES[1])
    _write(0)
    assert not _done()


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
    assert not list(scratch().iterdir())


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
        one = make(mean="0.5, 0.5, 0.5")
    elif what == "weights":
        torch.save({n: t * 2 for n, t in network.state_dict().items()}, weights)
    else:
        table.obs_names = [f"v{i}" for i in range(20)]
    counter = _Interrupted(monkeypatch)
    embed(one)
    assert counter.seen == 8


KILLED = """
import json, os, signal, sys
from pathlib import Path
import anndata as ad
from cell_synergy import encoders
from cell_synergy.encoders._vision import networks

settings, table, raw, frozen = json.loads(sys.argv[1])
seen, run = [], networks.features

def features(*arguments):
    seen.append(1)
    if len(seen) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(*arguments)

networks.features = features
encoders.load("uni2_h", settings).embed(ad.read_h5ad(table), Path(raw), Path(frozen))
"""


@pytest.mark.slow
def test_a_killed_process_is_taken_up(make, embed, tissue, monkeypatch, tmp_path):
    table, raw = tissue
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    whole = embed(make())
    table.write_h5ad(tmp_path / "table.h5ad")
    settings = make().model_dump(mode="json")
    settings |= {c: ", ".join(map(str, settings[c])) for c in ("mean", "std")}
    words = [settings, str(tmp_path / "table.h5ad"), str(raw), str(tmp_path / "frozen")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(words)], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    counter = _Interrupted(monkeypatch)
    found = encoders.load("uni2_h", settings).embed(table, raw, tmp_path / "frozen")
    assert counter.seen == 4
    assert found.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 40, b"\xff" * 8 + bytes(8), bytes(15), b"GIF89a" * 9]
)
def test_a_damaged_record_is_taken_up_to_the_damage(garbage):
    _write(2)
    with _file().open("ab") as file:
        file.write(garbage)
    np.testing.assert_equal(_done(), BATCHES[:2])
    _write(3)
    np.testing.assert_equal(_done(), BATCHES)
