"""Scores of one method, learnt from nested fractions of one data set's training pairs."""

import sys

from cell_synergy.core.config import parse
from cell_synergy.core.errors import reported
from cell_synergy.studies.scaling.subsampled_method import run

if __name__ == "__main__":
    with reported(__doc__, resumes=True):
        run(parse(sys.argv[1:]))
