"""HER2-positive breast cancer, Spatial Transcriptomics (Andersson et al. 2021).

Layout of the authors' repository `almaan/her2st` (paper doi:10.1038/s41467-021-26271-2). Six
sections of donors A, B and C have an image; 18 sections of donors D to H are counts only.

`obs["region"]` is the pathologist's region. Section A1 is annotated; spots of B4 and C2 to C5 have
the label of the nearest annotated spot of section B1 or C1, to which the authors registered them. A
spot without an annotated spot within 140 um, or annotated "undetermined", has no region.
`obsm["cell_type_ratio"]` has the proportions of the major cell types that the authors estimated
with stereoscope from these counts; a spot that is not in their table has an empty row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.images import image_size
from cell_synergy.raw.registration import apply_affine, fit_affine, nearest_within
from cell_synergy.raw.sections.coordinates import drop_outside_image
from cell_synergy.raw.sections.section import Section, check_section
from cell_synergy.raw.spot_tables import (
    PITCH_UM,
    array_positions,
    grid_names,
    read_counts,
    read_table,
)


class _Slide(NamedTuple):
    """Published image of a section, and width and height of the image of its spot file's pixels."""

    image: str
    frame: tuple[int, int]


_SLIDES = {
    "A1": _Slide("app/www/imgs/A1_HE_image_dark.png", (6954, 7435)),  # published at 2,000 px
    "B4": _Slide("data/ST-imgs/B/B4/BT10737_D2_HE.jpg", (9272, 9923)),
    "C2": _Slide("data/ST-imgs/C/C2/5714_HE_BT_C2.jpg", (9274, 9911)),
    "C3": _Slide("data/ST-imgs/C/C3/5714_HE_BT_D1.jpg", (9270, 9936)),
    "C4": _Slide("data/ST-imgs/C/C4/5714_HE_BT_D2.jpg", (9278, 9916)),
    "C5": _Slide("data/ST-imgs/C/C5/5714_HE_BT_E1.jpg", (9272, 9901)),
}
_COUNTS_ONLY = (
    *("D1", "D2", "D3", "D4", "D5", "D6", "E1", "E2", "E3"),
    *("F1", "F2", "F3", "G1", "G2", "G3", "H1", "H2", "H3"),
)
_REGIONS = (
    "adipose tissue",
    "breast glands",
    "cancer in situ",
    "connective tissue",
    "immune infiltrate",
    "invasive cancer",
)
_NO_REGION = ("undetermined", "")
# The centre of four annotated spots (pitch 200 um) is 141 um from each of them.
_TRANSFER_UM = 140.0
_PIXEL_COLUMNS = ["pixel_x", "pixel_y"]


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:  # noqa: ARG001 - every reader's signature
    """Yield the 24 sections: six with an image, then 18 of counts only.

    Raises
    ------
    DataError
        If a file is missing, damaged or not as published, or a section is invalid.
    """
    for name in (*_SLIDES, *_COUNTS_ONLY):
        yield _read_section(raw, name)


def _read_section(raw: Path, name: str) -> Section:
    """Read one section; the first letter of its name is the donor."""
    source = raw / "data" / "ST-cnts" / f"{name}.tsv.gz"
    adata = read_counts(source)
    adata.obs_names = array_positions(adata.obs_names, "x", source)
    spot_file = _read_spot_file(raw, name)
    if missing := sorted(set(adata.obs_names) - set(spot_file.index)):
        raise DataError(
            f"{source}: {len(missing)} spots (e.g. {missing[0]}) are not in the section's spot "
            "file; download both again"
        )
    um_per_pixel = _um_per_pixel(spot_file)
    spots = spot_file.loc[adata.obs_names]
    adata.obsm["spatial"] = spots[_PIXEL_COLUMNS].to_numpy(np.float64) * um_per_pixel
    slide = _SLIDES.get(name)
    if slide is None:
        section = Section(name, name[0], adata, None, None)
        check_section(section, source)
        return section
    size = image_size(raw / slide.image)
    adata.obs["region"] = pd.Categorical(_regions(raw, name, spots), categories=_REGIONS)
    adata.obsm["cell_type_ratio"] = _proportions(raw, name, adata.obs_names)
    mpp = um_per_pixel / _image_scale(raw, slide, size)
    adata, coverage = drop_outside_image(adata, mpp, size, "spots", f"{source}, section {name}")
    section = Section(name, name[0], adata, Path(slide.image), mpp, coverage=coverage)
    check_section(section, source)
    return section


def _read_spot_file(raw: Path, name: str) -> pd.DataFrame:
    """Return a section's table of spots (those without counts too), indexed by array position."""
    path = raw / "data" / "ST-spotfiles" / f"{name}_selection.tsv"
    table = _read_columns(path, ["x", "y", "new_x", "new_y", *_PIXEL_COLUMNS])
    return table.set_axis(grid_names(table[["x", "y"]].to_numpy(np.float64), path))


def _um_per_pixel(spots: pd.DataFrame) -> float:
    """Return micrometres per pixel of the spot file's frame, from the pitch of the array.

    The pitch in pixels is the slope of a least-squares line of pixels on array coordinates,
    averaged over both axes, which differ by 1 %.
    """
    pitch = [
        np.polyfit(spots[f"new_{axis}"], spots[f"pixel_{axis}"], deg=1)[0] for axis in ("x", "y")
    ]
    return PITCH_UM / float(np.mean(pitch))


def _image_scale(raw: Path, slide: _Slide, size: tuple[int, int]) -> float:
    """Return the scale of the image relative to the spot file's frame."""
    x_scale, y_scale = (image / frame for image, frame in zip(size, slide.frame, strict=True))
    if abs(x_scale / y_scale - 1) > 0.01:  # noqa: PLR2004 - rounding to pixels is far below
        raise DataError(
            f"{raw / slide.image}: {size[0]} x {size[1]} pixels are not the proportions of the "
            f"slide ({slide.frame[0]} x {slide.frame[1]}); use the published, uncropped image"
        )
    return x_scale


def _regions(raw: Path, name: str, spots: pd.DataFrame) -> list[str | None]:
    """Return the region of each spot, or None."""
    annotated = f"{name[0]}1"
    labels = _annotations(raw, annotated)
    if name == annotated:
        reindexed = labels.reindex(spots.index).to_list()
        return [label if isinstance(label, str) else None for label in reindexed]
    reference = _read_spot_file(raw, annotated)
    radius = _TRANSFER_UM / _um_per_pixel(reference)
    coords = reference.loc[labels.index, _PIXEL_COLUMNS].to_numpy(np.float64)
    nearest = nearest_within(_registered_coords(raw, name, spots), coords, radius)
    return [labels.iloc[row] if row >= 0 else None for row in nearest]


def _annotations(raw: Path, name: str) -> pd.Series:
    """Return the pathologist's regions by array position, None for "undetermined".

    The annotation file is joined to the spot file by array position, because its pixel columns
    refer to another image.
    """
    path = raw / "data" / "ST-pat" / "lbl" / f"{name}_labeled_coordinates.tsv"
    table = _read_columns(path, ["x", "y", "label"])
    labels = table["label"].fillna("").astype(str).str.strip().str.lower()
    if unknown := sorted(set(labels) - {*_REGIONS, *_NO_REGION}):
        raise DataError(f"{path}: unknown label {unknown[0]!r}{suggest(unknown[0], _REGIONS)}")
    labels = labels.astype(object).where(~labels.isin(_NO_REGION), None)
    labels.index = grid_names(table[["x", "y"]].to_numpy(np.float64), path)
    return labels[labels.index.isin(_read_spot_file(raw, name).index)]


def _registered_coords(raw: Path, name: str, spots: pd.DataFrame) -> Float64[np.ndarray, "spots 2"]:
    """Return the coordinates of the spots in the frame of the donor's first section.

    The authors give registered coordinates of the spots that passed their filters; an affine map is
    fitted to these and applied to all spots.
    """
    path = raw / "res" / "ST-cluster" / "lbl" / f"{name}-cluster-annotation.tsv.gz"
    table = _read_columns(path, [*_PIXEL_COLUMNS, "warped_x", "warped_y"])
    affine = fit_affine(
        table[_PIXEL_COLUMNS].to_numpy(np.float64),
        table[["warped_x", "warped_y"]].to_numpy(np.float64),
    )
    return apply_affine(affine, spots[_PIXEL_COLUMNS].to_numpy(np.float64))


def _proportions(raw: Path, name: str, spots: pd.Index) -> pd.DataFrame:
    path = raw / "res" / "ST-deconv" / "props" / "major" / f"{name}-proportion.tsv"
    table = read_table(path)
    return table.set_axis(array_positions(table.index, "x", path)).reindex(spots)


def _read_columns(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table, and refuse it if one of `columns` is missing."""
    table = read_table(path).reset_index()
    if missing := [column for column in columns if column not in table]:
        raise DataError(f"{path}: no column {missing[0]!r}{suggest(missing[0], table.columns)}")
    return table
