"""Quality control of sections: a table of observations kept and dropped, and its thresholds.

The table has one row per section with a role:

* `section`, `donor`, `role`
* `um_per_px`, `image_width`, `image_height`: resolution and size of the image, in micrometres and
  pixels
* `field_px`: side of the square around an observation in pixels of the image, `pairs.field_um /
  um_per_px`; a square with fewer pixels than an expert's input is upsampled, which adds no detail
* `read`: number of spots, cells or other observations in the file; `outside`: of these, outside the
  image
* `units`: number of observations after patches are formed; of these, `near_border`: the square
  extends beyond the image; `off_tissue`: the square has too little tissue; `kept`: all others
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pydantic import Field, PositiveFloat
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic_write
from cell_synergy.raw.images import Slide, TissueConfig
from cell_synergy.raw.sections.section import Section

_COLUMNS = (
    *("section", "donor", "role", "um_per_px", "image_width", "image_height", "field_px"),
    *("read", "outside", "units", "near_border", "off_tissue", "kept"),
)
_MAX_RESOLUTION_RATIO = 2.0  # of two sections; a warning is logged above it
_N_INSPECTED = 64  # observations off tissue whose brightness indicates the cause

Share = Annotated[float, Field(gt=0, le=1)]


class QCConfig(TissueConfig):
    """Thresholds of the quality control of a section, in addition to those for tissue.

    Attributes
    ----------
    off_tissue
        Largest share of observations off tissue; a section with more is refused.
    few_px, least_px
        Pixels of the image that `field_um` spans: below `few_px` a warning is logged, below
        `least_px` the section is refused.
    """

    off_tissue: Share
    few_px: PositiveFloat
    least_px: PositiveFloat


@dataclass
class SectionQC:
    """Quality-control table, filled row by row as sections are read.

    Attributes
    ----------
    rows
        One row per section; the module's docstring defines the columns.
    """

    rows: list[dict[str, object]] = field(default_factory=list)

    def check_resolution(self, section: Section, config: QCConfig) -> None:
        """Refuse, or warn of, an image with too few pixels in the square around an observation.

        Parameters
        ----------
        section
            The section, with an image.
        config
            Side of the square (micrometres), and thresholds in pixels of the image.

        Raises
        ------
        DataError
            If the square has fewer than `least_px` pixels per side.
        """
        side_px = config.field_um / float(section.mpp or np.nan)
        message = (
            f"section {section.name}: {section.mpp:.4g} um per pixel of {section.image} make "
            f"{side_px:.3g} pixels of the {config.field_um:g} um around an observation"
        )
        if side_px < config.least_px:
            raise DataError(
                f"{message}, under pairs.least_px {config.least_px:g}: give an image of higher "
                "resolution, or the right micrometres per pixel"
            )
        if side_px < config.few_px:
            tqdm.write(
                f"{message}; experts see it enlarged, an image of higher resolution shows more"
            )

    def add(
        self,
        section: Section,
        role: str,
        slide: Slide,
        masks: tuple[Bool[np.ndarray, " obs"], Bool[np.ndarray, " obs"]],
        config: QCConfig,
    ) -> None:
        """Add the row of a section with an image, and log how many observations are dropped.

        Parameters
        ----------
        section, role
            The section as it was read, and the role of its donor.
        slide
            The section's image.
        masks
            Masks of the observations whose square is inside the image, and of those among them
            that are on tissue.
        config
            Side of the square, thresholds of tissue, and largest share of observations off tissue.

        Raises
        ------
        DataError
            If a larger share of observations than `config.off_tissue` is off tissue, or no
            observation remains.
        """
        inside, tissue = masks
        near_border, off_tissue, kept = (
            int(mask.sum()) for mask in (~inside, inside & ~tissue, tissue)
        )
        (width, height), mpp = slide.size, float(section.mpp or np.nan)
        self._append(
            section, role, um_per_px=f"{mpp:.6g}", image_width=width, image_height=height,
            field_px=f"{config.field_um / mpp:.4g}", near_border=near_border,
            off_tissue=off_tissue, kept=kept,
        )  # fmt: skip
        n_obs = len(tissue)
        if off_tissue > config.off_tissue * n_obs or not kept:
            raise DataError(
                f"section {section.name}: {off_tissue} of {n_obs} observations lie off tissue and "
                f"{near_border} too near the border of {section.image} (pairs.off_tissue allows "
                f"{config.off_tissue:.0%} off tissue, and some must remain); "
                f"{_likely_cause(section, slide, inside & ~tissue, config)}"
            )
        if near_border + off_tissue:
            tqdm.write(
                f"section {section.name}: {near_border + off_tissue} of {n_obs} observations "
                f"dropped ({near_border} too near the border, the rest off tissue)"
            )

    def add_counts(self, section: Section, role: str) -> None:
        """Add the row of a section without an image, of which all observations are kept.

        Parameters
        ----------
        section, role
            The section as it was read, and the role of its donor.
        """
        self._append(section, role, near_border=0, off_tissue=0, kept=section.adata.n_obs)

    def warn_resolution_differences(self, name: str) -> None:
        """Log a warning if the resolutions of the images of the data set `name` differ much.

        It is logged if the coarsest has more than twice the micrometres per pixel of the finest. An
        image expert sees more detail in some of the sections then, and its embedding may separate
        sections by resolution.
        """
        resolution_of = {
            str(row["section"]): float(str(row["um_per_px"]))
            for row in self.rows
            if row["um_per_px"] != ""
        }
        if not resolution_of:
            return
        fine = min(resolution_of, key=resolution_of.__getitem__)
        coarse = max(resolution_of, key=resolution_of.__getitem__)
        if resolution_of[coarse] > _MAX_RESOLUTION_RATIO * resolution_of[fine]:
            tqdm.write(
                f"{name}: images differ in resolution: {resolution_of[fine]:.3g} um per pixel of "
                f"section {fine}, {resolution_of[coarse]:.3g} of {coarse}; embeddings may tell one "
                "from the other"
            )

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        with atomic_write(path) as new:
            pd.DataFrame(self.rows, columns=_COLUMNS).to_csv(new, index=False, lineterminator="\n")

    def _append(self, section: Section, role: str, **values: object) -> None:
        coverage, n_obs = section.coverage, section.adata.n_obs
        n_measured, n_outside = n_obs, 0
        if coverage is not None:
            n_measured, n_outside = coverage.n_measured, coverage.n_outside
        row = dict.fromkeys(_COLUMNS, "") | {
            "section": section.name, "donor": section.donor, "role": role,
            "read": n_measured, "outside": n_outside, "units": n_obs,
        }  # fmt: skip
        self.rows.append(row | values)


def _likely_cause(
    section: Section, slide: Slide, off_tissue: Bool[np.ndarray, " obs"], rule: TissueConfig
) -> str:
    """Return the likely cause of observations off tissue, by the brightness around them."""
    mismatch = "the coordinates, the micrometres per pixel and the image do not belong together"
    if not off_tissue.any():
        return f"{mismatch}, or the image is cropped too closely"
    mpp = float(section.mpp or np.nan)
    side_px = max(round(rule.field_um / mpp), 1)
    centres = np.asarray(section.adata.obsm["spatial"])[off_tissue] / mpp
    sampled = centres[np.unique(np.linspace(0, len(centres) - 1, _N_INSPECTED).astype(int))]
    brightness = np.median([slide.crop(centre, side_px).mean() / 255 for centre in sampled])
    if brightness <= rule.black:
        return (
            "around them the image is black: give the H&E image with a white background, not a "
            "fluorescence image"
        )
    if brightness >= rule.white:
        return f"around them the image is bare glass: {mismatch}, or it is another section's"
    return f"around them the image is of brightness {brightness:.2f}: {mismatch}"
