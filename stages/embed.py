"""Embed the paired observations of one data set with one frozen expert."""

import sys
from pathlib import Path

from cell_synergy import encoders
from cell_synergy.core.config import Config, arguments, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.data import embeddings, paired


class Args(Config):
    """Inputs and outputs."""

    expert: str
    pairs: Path
    raw: Path
    frozen: Path
    out: Path


def main(args: Args) -> None:
    """Read, embed, write."""
    use_threads(read_param("threads"))
    encoder = encoders.load(args.expert, read_section(f"encoders.{args.expert}"))
    adata = paired.read(args.pairs)
    embedding = encoder.embed(adata, args.raw, args.frozen)
    embeddings.write(args.out, embedding, adata.obs_names, encoders.read_card(args.frozen))


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
