"""One script per stage of dvc.yaml: `Args` has its inputs and outputs, `main` runs it.

A stage reads params.yaml, calls the library with objects, and writes. Python imports this file
before `python -m stages.NAME` runs, so that the instruction set is chosen before any library loads.
"""

from cell_synergy.core.cpu import use_avx2

use_avx2()
