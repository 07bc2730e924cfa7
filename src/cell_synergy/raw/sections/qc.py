"""What became of each section's observations: a table beside the pairs, and what it must not say.

One row per section that has a role:

* `section`, `donor`, `role`
* `um_per_px`, `image_width`, `image_height`: of the image, in micrometres and pixels
* `field_px`: pixels of the image across the square around a unit, `pairs.field_um / um_per_px`; of
  fewer pixels than an expert's input has, it makes a larger picture that shows no more
* `read`: spots, cells or units that the platform measured; `outside`: those outside the image
* `units`: what they make (patches hold several); `near_border`: those whose square leaves the
  image; `off_tissue`; `kept`
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
from cell_synergy.core.files import atomic
from cell_synergy.raw.images import Slide, TissueRule
from cell_synergy.raw.sections.section import Section

_COLUMNS = (
    *("section", "donor", "role", "um_per_px", "image_width", "image_height", "field_px"),
    *("read", "outside", "units", "near_border", "off_tissue", "kept"),
)
_UNLIKE = 2.0  # ratio of resolutions from which sections are told to differ
_ASKED = 64  # units off tissue whose squares are looked at for the cause


Share = Annotated[float, Field(gt=0, le=1)]


class Limits(TissueRule):
    """What is refused of a section, beside what counts as tissue.

    Attributes
    ----------
    off_tissue
        Share of a section's units off tissue above which it is refused.
    few_px, least_px
        Pixels of the image across `field_um` under which a section is warned of, and refused.
    """

    off_tissue: Share
    few_px: PositiveFloat
    least_px: PositiveFloat


@dataclass
class Account:
    """The table, row by row as sections are read."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def check_resolution(self, section: Section, rules: Limits) -> None:
        """Refuse an image that shows the square around a unit in too few pixels."""
        side = rules.field_um / float(section.mpp or np.nan)
        told = (
            f"section {section.name}: {section.mpp:.4g} um per pixel of {section.image} make "
            f"{side:.3g} pixels of the {rules.field_um:g} um around a unit"
        )
        if side < rules.least_px:
            raise DataError(
                f"{told}, under pairs.least_px {rules.least_px:g}: give an image of higher "
                "resolution, or the right micrometres per pixel"
            )
        if side < rules.few_px:
            tqdm.write(f"{told}; experts see it enlarged, an image of higher resolution shows more")

    def add(
        self,
        section: Section,
        role: str,
        slide: Slide,
        seen: tuple[Bool[np.ndarray, " obs"], Bool[np.ndarray, " obs"]],
        rules: Limits,
    ) -> None:
        """Add a section with an image.

        Parameters
        ----------
        section, role
            As it was read, and what its donor is for.
        slide
            Its image.
        seen
            Of each unit, whether its square lies inside the image, and whether it shows tissue.
        rules
            What is tissue, and how many units may be without.

        Raises
        ------
        DataError
            If too many are off tissue, or none is left.
        """
        inside, shown = seen
        near, off, kept = (int(n.sum()) for n in (~inside, inside & ~shown, shown))
        (width, height), mpp = slide.size, float(section.mpp or np.nan)
        self._append(
            section, role, um_per_px=f"{mpp:.6g}", image_width=width, image_height=height,
            field_px=f"{rules.field_um / mpp:.4g}", near_border=near, off_tissue=off, kept=kept,
        )  # fmt: skip
        if off > rules.off_tissue * len(shown) or not kept:
            counts = f"{off} of {len(shown)} units lie off tissue and {near} too near the border"
            limit = f"pairs.off_tissue allows {rules.off_tissue:.0%} off tissue, and some must stay"
            raise DataError(
                f"section {section.name}: {counts} of {section.image} ({limit}); "
                f"{_cause(section, slide, inside & ~shown, rules)}"
            )
        if near + off:
            tqdm.write(
                f"section {section.name}: {near + off} of {len(shown)} units dropped "
                f"({near} too near the border, the rest off tissue)"
            )

    def add_counts(self, section: Section, role: str) -> None:
        """Add a section of counts alone, all of which stay."""
        self._append(section, role, near_border=0, off_tissue=0, kept=section.counts.n_obs)

    def compare(self, name: str) -> None:
        """Tell if images of sections differ in resolution: an expert sees one in finer detail."""
        scales = {str(row["section"]): float(str(row["um_per_px"])) for row in self.rows
                  if row["um_per_px"] != ""}  # fmt: skip
        if not scales:
            return
        fine, coarse = min(scales, key=scales.__getitem__), max(scales, key=scales.__getitem__)
        if scales[coarse] > _UNLIKE * scales[fine]:
            tqdm.write(
                f"{name}: images differ in resolution: {scales[fine]:.3g} um per pixel of section "
                f"{fine}, {scales[coarse]:.3g} of {coarse}; embeddings may tell one from the other"
            )

    def write(self, path: Path) -> None:
        """Write the table."""
        with atomic(path) as new:
            pd.DataFrame(self.rows, columns=_COLUMNS).to_csv(new, index=False, lineterminator="\n")

    def _append(self, section: Section, role: str, **values: object) -> None:
        placed, units = section.placed, section.counts.n_obs
        read, outside = (units, 0) if placed is None else (placed.read, placed.outside)
        row = dict.fromkeys(_COLUMNS, "") | {
            "section": section.name, "donor": section.donor, "role": role,
            "read": read, "outside": outside, "units": units,
        }  # fmt: skip
        self.rows.append(row | values)


def _cause(section: Section, slide: Slide, off: Bool[np.ndarray, " obs"], rules: TissueRule) -> str:
    """Say by the brightness around units off tissue what is likely wrong."""
    scale = "the places, the micrometres per pixel and the image do not belong together"
    if not off.any():
        return f"{scale}, or the image is cut too close"
    mpp = float(section.mpp or np.nan)
    side = max(round(rules.field_um / mpp), 1)
    centres = np.asarray(section.counts.obsm["spatial"])[off] / mpp
    asked = centres[np.unique(np.linspace(0, len(centres) - 1, _ASKED).astype(int))]
    light = np.array([slide.crop(centre, side).mean() / 255 for centre in asked])
    if np.median(light) <= rules.black:
        return (
            "around them the image is black: give the H&E image with a white background; a "
            "fluorescence image is none"
        )
    if np.median(light) >= rules.white:
        return f"around them the image is bare glass: {scale}, or it is another section's"
    return f"around them the image is of brightness {np.median(light):.2f}: {scale}"
