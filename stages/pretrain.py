"""Freeze one expert for one data set: fit it on reference donors, or record published weights."""

import json
import sys
from pathlib import Path

from cell_synergy import encoders
from cell_synergy.core.config import Config, arguments, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data import paired


class Args(Config):
    """Inputs and outputs."""

    expert: str
    reference: Path
    out: Path


def main(args: Args) -> None:
    """Read, fit, write."""
    use_threads(read_param("threads"))
    encoder = encoders.load(args.expert, read_section(f"encoders.{args.expert}"))
    reference = paired.read(args.reference)
    with atomic_write(args.out) as folder:
        folder.mkdir()
        card = encoder.freeze(reference, folder)
        (folder / encoders.CARD).write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
