"""Configuration of a simulated data set."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from cell_synergy.core.errors import ConfigError
from cell_synergy.data.source_config import SimulatedDatasetConfig
from cell_synergy.data.study_design import Role
from cell_synergy.raw.simulator.lattice import Lattice


class SimulatorConfig(SimulatedDatasetConfig):
    """Parameters of one simulated data set, joined with the common ones (key `simulator`).

    Attributes
    ----------
    platform
        File layout: `xenium` (observations are the squares of a grid and contain cells) or
        `visium` (observations are the spots of a hexagonal array); equal to the data set's reader.
    pitch_um, margin_um, correlation_um
        Distance between observations, width of the tissue around them, and standard deviation of
        the Gaussian kernel that smooths the random fields, in micrometres.
    cells, purity, concentration
        Mean number of grid points for cells in an observation, mean share of its dominant cell
        type, and sum of the parameters of the Dirichlet distribution of types.
    mpp, stain_sd
        Micrometres per pixel of the image, and standard deviation over donors of the log amount of
        each stain.
    library_sd
        Standard deviation of the log library size, over donors and again over observations.
    marker_fold_change
        Typical fold change of the marker genes of a cell type.
    dispersion, batch_sd
        Dispersion of the negative binomial distribution, and standard deviation of the log fold
        change of each gene in a donor (batch effect).
    """

    platform: Literal["xenium", "visium"]
    pitch_um: PositiveFloat
    margin_um: PositiveFloat
    correlation_um: PositiveFloat
    cells: PositiveFloat
    purity: Annotated[float, Field(gt=0, lt=1)]
    concentration: PositiveFloat
    mpp: PositiveFloat
    stain_sd: NonNegativeFloat
    library_sd: NonNegativeFloat
    marker_fold_change: PositiveFloat
    dispersion: PositiveFloat
    batch_sd: NonNegativeFloat

    def lattice(self, role: Role) -> Lattice:
        """Return the lattice of observations of a section, by the role of its donor.

        Raises
        ------
        ConfigError
            If `units` has no number of rows and columns for the role.
        """
        if role not in self.units:
            raise ConfigError(
                f"source.units has no {role!r}; add the rows and columns of its sections"
            )
        hexagonal = self.platform == "visium"
        return Lattice(*self.units[role], self.pitch_um, self.margin_um, hexagonal)
