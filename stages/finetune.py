"""Scores of one expert, fine-tuned and frozen, on nested fractions of the training pairs."""

import sys

from cell_synergy.core.config import arguments
from cell_synergy.core.errors import reported
from cell_synergy.studies.scaling.finetuned_arm import Args, run

if __name__ == "__main__":
    with reported(__doc__, resumes=True):
        run(arguments(Args, sys.argv[1:]))
