"""One script per stage of benchmarks/dvc.yaml: `Args` has its arguments, `main` runs it.

A benchmark takes longer than the study allows, and some text quotes it; no stage of the study
depends on one. Modules whose names begin with `_` are shared, and `readme` renders the tables.
Tables stand here, in git: equal inputs give equal bytes, except in stages marked `speed: true`,
which measure time. Python imports this file before `python -m benchmarks.NAME` runs, so that the
instruction set is chosen before any library loads.
"""

from cell_synergy.core.cpu import use_avx2

use_avx2()
