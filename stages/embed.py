"""Freeze one expert for one data set, and embed the data set's paired observations with it.

An expert is frozen by fitting it on reference donors, or by recording published weights.
"""

import json
import sys
from pathlib import Path

from cell_synergy import encoders
from cell_synergy.core.config import Config, arguments, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data import embeddings, paired


class Args(Config):
    """Inputs and outputs; `frozen` is the folder of the frozen expert, which is written too."""

    expert: str
    pairs: Path
    reference: Path
    raw: Path
    frozen: Path
    out: Path


def main(args: Args) -> None:
    """Read, freeze, embed, write."""
    use_threads(read_param("threads"))
    encoder = encoders.load(args.expert, read_section(f"encoders.{args.expert}"))
    reference = paired.read(args.reference)
    with atomic_write(args.frozen) as folder:
        folder.mkdir()
        card = encoder.freeze(reference, folder)
        (folder / encoders.CARD).write_text(json.dumps(card, indent=1) + "\n")
    adata = paired.read(args.pairs)
    embedding = encoder.embed(adata, args.raw, args.frozen)
    embeddings.write(args.out, embedding, adata.obs_names, encoders.read_card(args.frozen))


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
