"""Fit one method on one data set: weights per fold and seed."""

import sys

from cell_synergy.core.config import parse
from cell_synergy.core.errors import reported
from cell_synergy.finetuning.align import run

if __name__ == "__main__":
    with reported(__doc__, resumes=True):
        run(parse(sys.argv[1:]))
