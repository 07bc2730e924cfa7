"""One instruction set on every machine, so that equal inputs give equal bytes on each of them."""

import os
import platform
from pathlib import Path

CPU = Path("/proc/cpuinfo")
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}  # fmt: skip
WITHOUT_AVX512 = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}  # numpy's own


def use_avx2() -> None:
    """Let torch and numpy compute with AVX2, also on a processor that could do more at once.

    Wider registers sum in another order, and functions like `exp` are others for them. To be
    called before numpy or torch is imported. What the environment says already stays; so does
    everything on a processor without AVX2.
    """
    if platform.machine() != "x86_64" or not CPU.is_file():
        return
    able = CPU.read_text().split()
    chosen = (AVX2 if "avx2" in able else {}) | (WITHOUT_AVX512 if "avx512f" in able else {})
    for name, choice in chosen.items():
        os.environ.setdefault(name, choice)
