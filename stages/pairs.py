"""Read a data set's raw files into paired observations, and those of reference donors.

A table beside the pairs, with the same name, counts the observations of each section that were
kept and dropped.
"""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, load, read_param, read_section
from cell_synergy.core.errors import report_errors
from cell_synergy.data import paired
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import build
from cell_synergy.raw.checks.joined_pairs import StageRequirements
from cell_synergy.raw.readers import read
from cell_synergy.raw.sections.qc import SectionQC


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    raw: Path
    out: Path
    reference: Path


def stage_requirements() -> StageRequirements:
    """Return what the expert and the methods require of the data.

    An expert that is not fitted has no components.
    """
    expert = read_section(f"encoders.{read_param('experts.expression')}")
    components = expert.get("components", 0)
    batch, held = read_param("training.batch_size"), read_param("align.held")
    return StageRequirements(components=components, batch=batch, held=held, images=True)


def main(args: Args) -> None:
    """Read, join, check, write."""
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    rules = load(build.PairsConfig, "pairs")
    sections = read(args.raw, dataset)
    section_qc = SectionQC()
    study, reference = build.build(
        args.dataset, sections, dataset, rules, args.raw, section_qc, stage_requirements()
    )
    section_qc.write(args.out.with_suffix(".csv"))
    paired.write(args.out, study)
    paired.write(args.reference, reference)


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
