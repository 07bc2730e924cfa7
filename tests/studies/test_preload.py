"""What the runner imports once before it forks stages."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORT = """
import json, os
from runner import hook, warm
before = dict(os.environ)
warm.fill(hook.preload_names())
import threading, torch
print(json.dumps({
    "loaded": warm.loaded is not None,
    "packages": sorted(warm.loaded.packages),
    "variables": dict(warm.loaded.variables),
    "kept": dict(os.environ) == before,
    "threads": threading.active_count(),
    "cuda": torch.cuda.is_initialized(),
    "others": sorted(open(f"/proc/self/task/{n}/comm").read().strip()
                     for n in os.listdir("/proc/self/task") if int(n) != os.getpid()),
    "own": any(file.endswith("stages/align.py") for file in warm.loaded.files),
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed in /proc")
def test_the_import_starts_no_threads_and_leaves_the_environment():
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    pins = ("MKL_CBWR", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")
    environment = {k: v for k, v in os.environ.items() if k not in counts + pins}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=True,
        env=environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
    )  # fmt: skip
    state = json.loads(done.stdout)
    assert state["loaded"]
    assert state["packages"] == ["stages"]
    assert state["kept"]
    assert not state["cuda"]
    assert state["threads"] == 1
    assert set(state["others"]) <= {"jemalloc_bg_thd"}  # pyarrow's allocator, made for forks
    assert not state["variables"].keys() & set(counts)
    assert state["own"]


def test_the_instruction_set_is_chosen_before_anything_else_is_imported():
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["runner"]["preload"]
    assert names[0] == "stages"
