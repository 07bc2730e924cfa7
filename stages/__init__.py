"""One thin script per stage of dvc.yaml; `python -m stages.NAME` comes here first."""

from cell_synergy.core.cpu import use_avx2

use_avx2()
