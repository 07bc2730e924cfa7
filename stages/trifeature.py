"""Score one method on Trifeature: what it keeps of redundancy, uniqueness and synergy."""

import sys

from cell_synergy.core.config import parse
from cell_synergy.core.errors import reported
from cell_synergy.studies.trifeature.benchmark import run

if __name__ == "__main__":
    with reported(__doc__, resumes=True):
        run(parse(sys.argv[1:]))
