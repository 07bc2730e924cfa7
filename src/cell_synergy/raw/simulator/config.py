"""What every simulated twin is made with."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from cell_synergy.core.errors import ConfigError
from cell_synergy.data.config import Role, SimulatedDatasetConfig, listed
from cell_synergy.raw.simulator.lattice import Lattice


class SimulatorConfig(SimulatedDatasetConfig):
    """A twin's own settings, and what all twins share (section `simulator`).

    Attributes
    ----------
    platform
        Whose files are written: `xenium` (units are the squares of a grid, with cells in them) or
        `visium` (units are the spots of a hexagonal array). It is the data set's reader.
    units
        Rows and columns of units, by the donor's role.
    pitch_um, margin_um, correlation_um
        Distance of units, tissue drawn around them, and the standard deviation of the Gaussian
        that smooths the fields of states.
    cells, purity, concentration
        Places for cells in a unit, mean share of its dominant type, and the sum of the Dirichlet's
        parameters.
    penetrance
        Share of a unit's nuclei that show its chromatin state; the others show the other one.
    mpp, stain_sd, jpeg_quality
        Of the image: micrometres per pixel, standard deviation over donors of the logarithm of
        stain amounts, and the quality of compression (1 to 100).
    library_sd
        Standard deviation of the logarithm of counts per unit, over donors and again over units.
    marker_fold_change
        Typical fold change of a cell type's genes.
    dispersion, batch_sd
        Of the negative binomial, and of a donor's own log fold change of each gene.
    """

    platform: Literal["xenium", "visium"]
    units: dict[Role, Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(listed)]]
    pitch_um: PositiveFloat
    margin_um: PositiveFloat
    correlation_um: PositiveFloat
    cells: PositiveFloat
    purity: Annotated[float, Field(gt=0, lt=1)]
    concentration: PositiveFloat
    penetrance: Annotated[float, Field(gt=0.5, le=1)]
    mpp: PositiveFloat
    stain_sd: NonNegativeFloat
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    library_sd: NonNegativeFloat
    marker_fold_change: PositiveFloat
    dispersion: PositiveFloat
    batch_sd: NonNegativeFloat

    def lattice(self, role: Role) -> Lattice:
        """Return where the units of a section of this role lie."""
        if role not in self.units:
            raise ConfigError(
                f"simulator.units has no {role!r}; add the rows and columns of its units"
            )
        hexagonal = self.platform == "visium"
        return Lattice(*self.units[role], self.pitch_um, self.margin_um, hexagonal)
