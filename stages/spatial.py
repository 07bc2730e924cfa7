"""Judge one method on one data set by space: neighbours in bands of distance, and close pairs."""

import sys

from cell_synergy.core.config import parse
from cell_synergy.core.errors import reported
from cell_synergy.downstream.spatial.benchmark import run

if __name__ == "__main__":
    with reported(__doc__):
        run(parse(sys.argv[1:]))
