"""Read a data set's raw files into paired observations, and those of reference donors.

A table beside the pairs, with the same name, counts the observations of each section that were
kept and dropped. Labels are written apart from the pairs, with a table of the tasks beside them and
the labels of reference donors as `<name>-reference.h5ad` (see `cell_synergy.data.label_files`).
"""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, load, read_param, read_section
from cell_synergy.core.errors import report_errors
from cell_synergy.data import label_files, paired
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import build
from cell_synergy.raw.checks.joined_pairs import StageRequirements
from cell_synergy.raw.readers import read
from cell_synergy.raw.sections.qc import SectionQC


class Args(Config):
    """Inputs and outputs.

    Attributes
    ----------
    dataset
        Name of the data set.
    raw
        Folder of its raw files.
    out, reference
        Files of the pairs, and of the observations of reference donors.
    labels
        File of the labels of the pairs.
    """

    dataset: str
    raw: Path
    out: Path
    reference: Path
    labels: Path


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
    role = "" if dataset.simulator is None else dataset.simulator.role
    label_files.write_task_table(
        args.labels.with_suffix(".csv"), study, args.dataset, dataset.tasks, role
    )
    reference_labels = args.labels.with_stem(f"{args.labels.stem}-reference")
    for adata, out, labels_out in (
        (study, args.out, args.labels),
        (reference, args.reference, reference_labels),
    ):
        pairs, labels = label_files.separate(adata, dataset.tasks)
        paired.write(out, pairs)
        label_files.write(labels_out, labels)


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
