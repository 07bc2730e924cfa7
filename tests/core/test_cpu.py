import os
import subprocess
import sys
from pathlib import Path

import pytest

from cell_synergy.core import cpu

ROOT = Path(__file__).parents[2]
ASKED = """
import stages, numpy, torch, threadpoolctl
from numpy._core._multiarray_umath import __cpu_features__ as able
found = [each["architecture"] for each in threadpoolctl.threadpool_info() if "architecture" in each]
print(torch.backends.cpu.get_cpu_capability(), *found, able["X86_V3"], able["X86_V4"])
"""
CHOSEN = cpu._AVX2 | cpu._WITHOUT_AVX512


def computed_with(**more):
    environment = {k: v for k, v in os.environ.items() if k not in CHOSEN}
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=environment | paths | more, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.skipif(
    not cpu._CPU_INFO.is_file() or "avx2" not in cpu._CPU_INFO.read_text().split(),
    reason="no AVX2 here",
)
def test_a_stage_computes_with_avx2():
    assert computed_with() == ["AVX2", "Haswell", "True", "False"]


def test_mkl_uses_the_code_that_processors_of_all_vendors_run():
    """A request for AVX2 has no effect on processors of AMD, which gave other bytes."""
    assert cpu._AVX2["MKL_CBWR"] == "COMPATIBLE"


@pytest.mark.slow
def test_the_environment_chooses_other_instructions():
    assert computed_with(ATEN_CPU_CAPABILITY="default")[0] == "DEFAULT"


def test_instruction_sets_that_the_environment_chooses_stay(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx2 fma avx512f\n")
    monkeypatch.setattr(cpu, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    own = dict.fromkeys(CHOSEN, "own")
    for name in own:
        monkeypatch.setenv(name, own[name])
    cpu.use_avx2()
    assert {name: os.environ[name] for name in own} == own


@pytest.mark.parametrize(
    ("machine", "flags", "chosen"),
    [
        ("aarch64", "avx2", {}),
        ("x86_64", "sse4_2 avx", {}),
        ("x86_64", "avx2 fma", cpu._AVX2),
        ("x86_64", "avx2 avx512f", CHOSEN),
    ],
)
def test_instruction_sets_that_the_processor_lacks_are_not_requested(
    machine, flags, chosen, monkeypatch, tmp_path
):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags} popcnt\n")
    monkeypatch.setattr(cpu, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: machine)
    for name in CHOSEN:
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    cpu.use_avx2()
    assert {name: os.environ[name] for name in CHOSEN if name in os.environ} == chosen
