"""One instruction set on all x86-64 processors, so that equal inputs give equal bytes on them."""

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}  # fmt: skip
_WITHOUT_AVX512 = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}  # read by numpy


def use_avx2() -> None:
    """Restrict torch, numpy and their libraries to AVX2, also on a processor with AVX-512.

    Wider registers sum in another order, and functions such as `exp` have other implementations
    for them. MKL obeys a request for AVX2 on processors of Intel only, and chooses by itself on
    those of AMD, so that equal inputs gave other bytes there: it is restricted to `COMPATIBLE`, the
    one branch of its code that it runs on both. Call this before numpy or torch is imported.
    Environment variables that are already set are kept; nothing changes on a processor without
    AVX2.
    """
    if platform.machine() != "x86_64" or not _CPU_INFO.is_file():
        return
    flags = _CPU_INFO.read_text().split()
    settings = (_AVX2 if "avx2" in flags else {}) | (_WITHOUT_AVX512 if "avx512f" in flags else {})
    for name, value in settings.items():
        os.environ.setdefault(name, value)
