import os
import subprocess
import sys

import torch

from cell_synergy.core import device

THREADS = """
import sys
import numpy
from threadpoolctl import threadpool_info
from cell_synergy.core.device import use_threads

def check(count):
    import torch
    assert torch.get_num_threads() == count, torch.get_num_threads()
    assert {pool["num_threads"] for pool in threadpool_info()} == {count}, threadpool_info()

use_threads(2)
assert "torch" not in sys.modules
check(2)
use_threads(1)
check(1)
"""


def test_threads_reach_every_library_and_torch_before_and_after_its_import():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "2"}
    environment.pop("MKL_NUM_THREADS", None)  # torch heeds it more than OpenMP's
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_device_is_the_gpu_where_there_is_one():
    assert (device.device().type == "cuda") == torch.cuda.is_available()
