"""SIS over distance on your own tissue: the distances at which fusion has a gain.

python -m cell_synergy.downstream.spatial units=my.h5ad image=X_uni expression=X_nicheformer \
    label=region donor=patient section=slide unit_um=55 joint=X_fused out=spatial.csv

reads two embeddings from `obsm`, coordinates from `obsm["spatial"]` (micrometres, or pixels if
`mpp=0.5` gives micrometres per pixel), labels, donors and sections from `obs`. Each donor is held
out in turn, and linear probes of an observation predict the most frequent label of its neighbours,
in bands of distance. `spatial.csv` has the SIS of the concatenation and of every embedding named by
`joint` (optional, several separated by commas) in each band, with intervals from five donors on.
The scores are written beside it, as spatial-scores.csv, with those of classifying pairs of
observations as close or far. With `composition=KEY` the neighbours' cell-type shares in
`obsm[KEY]` are predicted too. `standardise=donor` scales features with the observations of each
donor. Bands and pairs are those of the section `spatial` in params.yaml. `out` may be a folder;
only files that this command wrote are replaced there.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cell_synergy.commands.command import command_on_table
from cell_synergy.core.config import load, read_param
from cell_synergy.core.errors import print_requested_help, report_errors

if TYPE_CHECKING:
    from cell_synergy.downstream.spatial.user_sections import UserSectionsConfig

SUFFIXES = ("-scores",)  # of the table beside the curves


def run(args: "UserSectionsConfig") -> None:
    """Score the embeddings of a user's table in space, and write scores and SIS over distance."""
    from cell_synergy.core.device import use_threads
    from cell_synergy.data.classes import ClassRule
    from cell_synergy.downstream.probes.config import ProbeConfig
    from cell_synergy.downstream.spatial.config import SpatialConfig
    from cell_synergy.downstream.spatial.user_sections import write_section_scores
    from cell_synergy.raw.build import PairsConfig

    use_threads(read_param("threads"))
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    rule: ClassRule = load(PairsConfig, "pairs")
    write_section_scores(args, probe, spatial, rule)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    if not print_requested_help(argv, __doc__ or "", bare=False):
        with report_errors():
            from cell_synergy.downstream.spatial.user_sections import UserSectionsConfig
        command_on_table(argv, UserSectionsConfig, run, "spatial units=", SUFFIXES)


if __name__ == "__main__":
    main(sys.argv[1:])
