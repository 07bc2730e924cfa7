"""Read a data set's raw files into paired units, reference donors apart.

Beside the pairs, under their name, stands a table of what was kept and dropped of each section.
"""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, load, section, value
from cell_synergy.core.errors import reported
from cell_synergy.data import paired
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import build
from cell_synergy.raw.checks.joined_pairs import Needs
from cell_synergy.raw.readers import read
from cell_synergy.raw.sections.qc import Account


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    raw: Path
    out: Path
    reference: Path


def needs() -> Needs:
    """Return what the expert and the methods need; an expert that is not fitted has no axes."""
    expert = section(f"encoders.{value('experts.expression')}")
    components = expert.get("components", 0)
    batch, held = value("training.batch_size"), value("align.held")
    return Needs(components=components, batch=batch, held=held, images=True)


def main(args: Args) -> None:
    """Read, join, check, write; the table of sections lies beside the pairs."""
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    rules = load(build.Rules, "pairs")
    sections = read(args.raw, dataset)
    account = Account()
    study, reference = build.build(
        args.dataset, sections, dataset, rules, args.raw, account, needs()
    )
    account.write(args.out.with_suffix(".csv"))
    paired.write(args.out, study)
    paired.write(args.reference, reference)


if __name__ == "__main__":
    with reported(__doc__):
        main(arguments(Args, sys.argv[1:]))
