"""Draw one figure: run its notebook, which reads results and does not compute any."""

import os
import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import report_errors
from cell_synergy.figures.notebook import run


class Args(Config):
    """Inputs and outputs."""

    notebook: Path
    figure: Path
    out: Path


def main(args: Args) -> None:
    """Run the notebook; with a fixed date the PDF file is reproducible."""
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    run(args.notebook, {"figure": str(args.figure)}, args.out)


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
