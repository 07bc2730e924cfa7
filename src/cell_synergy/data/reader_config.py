"""Configuration of the reader of a data set's files: the key `reader` of `data.<dataset>`."""

from collections.abc import Iterable
from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt, model_validator

from cell_synergy.core.config import Config
from cell_synergy.data.naming import DonorSections

ObservationKind = Literal["spots", "cells", "patches"]


class ReaderConfig(Config):
    """A reader, and the observations that readers of 10x and HEST files make of a section.

    Attributes
    ----------
    kind
        Name of the reader, a file of `cell_synergy.raw.readers`. Readers of 10x and HEST files need
        `units`; others have no further key.
    units
        Observations: `spots` (Visium HD: bins) or `cells` as they were measured, or `patches`,
        which are squares of `unit_um` that do not overlap, with the spots or cells inside.
    least
        Minimum number of cells (spots, bins) of a patch; a patch with fewer is dropped.
    origin_um
        Corner of the first patch, in x and y from the image's top left corner.
    keep_cells
        Whether patches keep the counts of each of their cells, for experts that read cells. Without
        these counts such an expert reads the summed counts of a patch like one cell.
    donors
        A list of sections for each donor; sections without a donor are left out. By default every
        section is a donor with the name of the section.
    image
        Path of the H&E image inside a section's folder, with `*` for any name; by default the
        only image in that folder.
    bin_um
        Side of the bins of Visium HD, in micrometres.
    labels
        Table of labels inside the data set's folder (see `cell_synergy.raw.sections.label_tables`).
    cell_type
        Column of that table whose shares in a patch are the composition of the patch.
    composition
        Table of the shares of cell types in each spot, inside the data set's folder: like
        `labels`, with one column per type.
    """

    kind: str
    units: ObservationKind | None = None
    least: PositiveInt | None = None
    origin_um: NonNegativeFloat = 0.0
    keep_cells: bool | None = None
    donors: DonorSections | None = None
    image: str | None = None
    bin_um: PositiveInt | None = None
    labels: str | None = None
    cell_type: str | None = None
    composition: str | None = None

    @model_validator(mode="after")
    def _keys_agree(self) -> "ReaderConfig":
        if self.units is None:
            if others := sorted(self.model_dump(exclude_defaults=True, exclude={"kind"})):
                raise ValueError(f"the keys {others} need 'units': spots, cells or patches")
            return self
        patches = self.units == "patches"
        for key in ("least", "keep_cells"):
            if patches != (getattr(self, key) is not None):
                raise ValueError(f"units 'patches' and the key {key!r} go together")
        if self.origin_um and not patches:
            raise ValueError("'origin_um' needs units 'patches'")
        if self.cell_type is not None and (self.labels is None or not patches):
            raise ValueError("'cell_type' needs 'labels', and units 'patches'")
        if self.composition is not None and patches:
            raise ValueError(
                "'composition' needs units 'spots' or 'cells'; patches have 'cell_type'"
            )
        sections = [name for names in (self.donors or {}).values() for name in names]
        if twice := sorted({name for name in sections if sections.count(name) > 1}):
            raise ValueError(f"one donor for a section, but {twice} are listed twice")
        return self

    def donor_of(self, present: Iterable[str]) -> dict[str, str]:
        """Return the donor of each section, by the section's name, as `donors` lists them.

        Without `donors`, the sections are those in `present`, and each is its own donor.
        """
        if self.donors is None:
            return {name: name for name in present}
        return {name: donor for donor, names in self.donors.items() for name in names}
