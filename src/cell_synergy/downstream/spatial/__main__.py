"""Where fusion starts to pay: SIS over distance, of your own tissue.

python -m cell_synergy.downstream.spatial units=my.h5ad image=X_uni expression=X_nicheformer \
    label=region donor=patient section=slide unit_um=55 joint=X_fused out=spatial.csv

reads two embeddings from `obsm`, places from `obsm["spatial"]` (micrometres; with `mpp=0.5` pixels
of so many micrometres), labels, donors and sections from `obs`. Each donor is left out in turn, and
linear probes of a unit predict the label that most of its neighbours have, in bands of distance.
`spatial.csv` has the SIS of the concatenation and of every embedding named by `joint` (optional,
several separated by commas) in each band, with intervals from five donors on; the scores stand
beside, as spatial-scores.csv, and say how well close pairs of units are told from far ones. With
`composition=KEY` the neighbours' cell-type shares in `obsm[KEY]` are predicted too.
`standardise=donor` scales features with each donor's own units. Bands and pairs are those of the
section `spatial` in params.yaml. `out` may be a folder; nothing there is replaced but what this
command wrote.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cell_synergy.commands.command import command_on_table
from cell_synergy.core.config import load, read_param
from cell_synergy.core.errors import answered_help, reported

if TYPE_CHECKING:
    from cell_synergy.downstream.spatial.user_sections import UserSectionsConfig

SUFFIXES = ("-scores",)  # of the table beside the curves


def run(args: "UserSectionsConfig") -> None:
    """Read, score, write."""
    from cell_synergy.core.device import use_threads
    from cell_synergy.data.classes import ClassRule
    from cell_synergy.downstream.probes.config import ProbeConfig
    from cell_synergy.downstream.spatial.config import SpatialConfig
    from cell_synergy.downstream.spatial.user_sections import write_section_scores
    from cell_synergy.raw.build import Rules

    use_threads(read_param("threads"))
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    rule: ClassRule = load(Rules, "pairs")
    write_section_scores(args, probe, spatial, rule)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    if not answered_help(argv, __doc__ or "", bare=False):
        with reported():
            from cell_synergy.downstream.spatial.user_sections import UserSectionsConfig
        command_on_table(argv, UserSectionsConfig, run, "spatial units=", SUFFIXES)


if __name__ == "__main__":
    main(sys.argv[1:])
