"""The downscaled images that Space Ranger makes of a slide, and their scale factors.

`tissue_hires_image` (at most 2,000 or 4,000 pixels a side) and `tissue_lowres_image` (600) are the
slide downscaled by the factors `tissue_hires_scalef` and `tissue_lowres_scalef` in
`scalefactors_json.json` (10x Genomics, "Space Ranger spatial outputs"). They replace a slide that
was not published, and their sizes reveal a slide that is not Space Ranger's input, in whose pixels
the coordinates of the spots are given.
"""

import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.raw.external_files import IMAGES
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.section_files import AGAIN, find_image, has_image, images_in, outputs

_SIZE_TOLERANCE_PX = 2.0  # Space Ranger rounds the size of its images
_DIAMETER_UM = (45.0, 75.0)  # accepted range; 55, in some versions 65
_DOWNSCALED_NAME = re.compile(r"(?:^|[_.-])tissue_(hires|lowres)_image$", re.IGNORECASE)


def find_slide(
    folder: Path, spatial: Path, pattern: str | None, mpp: float, needed: bool
) -> tuple[Path | None, float, tuple[int, int] | None]:
    """Return a section's image, its micrometres per pixel, and its width and height in pixels.

    Parameters
    ----------
    folder, spatial
        The section's folder, and the folder of Space Ranger's images in it.
    pattern
        `reader.image`; None for the only slide in the folder or, without one, `tissue_hires_image`.
    mpp
        Micrometres per pixel of the full-resolution slide, Space Ranger's input.
    needed
        Whether a section without an image is an error; if not, the result is `(None, mpp, None)`.

    Raises
    ------
    ConfigError
        If `pattern` leads out of the folder.
    DataError
        If there is no image or more than one, image or scale factors cannot be read, the image's
        scale factor is missing, or its size contradicts that of another image of the slide.
    """
    downscaled = {level: _find_downscaled(folder, spatial, level) for level in ("hires", "lowres")}
    hires = downscaled["hires"]
    if not needed and hires is None and not has_image(folder, pattern):
        return None, mpp, None
    if pattern is None and not images_in(folder) and hires is not None:
        image = hires
        tqdm.write(f"{folder}: no full-resolution image, {hires.name} is taken")
    else:
        _require_unpacked(folder, spatial, pattern)
        image = find_image(folder, pattern)
    size = image_size(image)
    level = _level_of(image)
    if level is None and not any(downscaled.values()):
        return image, mpp, size
    factors = read_factors(spatial)
    key = f"tissue_{level}_scalef"
    if level is not None and key not in factors:
        raise DataError(
            f"{spatial}: no number {key!r} in scalefactors_json.json, the scale of {image.name}; "
            "copy the file again, or put the full-resolution image into the section's folder"
        )
    scale = 1.0 if level is None else factors[key]
    for other_level, path in downscaled.items():
        other_key = f"tissue_{other_level}_scalef"
        if other_level != level and path is not None and other_key in factors:
            _check_size(image, size, scale, path, factors[other_key])
    return image, mpp / scale, size


def read_factors(spatial: Path) -> dict[str, float]:
    """Return the positive numbers in `scalefactors_json.json` by key; empty without the file.

    Parameters
    ----------
    spatial
        Folder of Space Ranger's images; `DataError` if its scale factors cannot be read as JSON.
    """
    paths = sorted(spatial.glob("*scalefactors_json.json*"))
    paths = [path for path in paths if not path.name.startswith(".")]
    if not paths:
        return {}
    return {
        key: float(value)
        for key, value in filetypes.read_json(paths[0], "scale factors", AGAIN).items()
        if isinstance(value, int | float) and 0 < value < float("inf")
    }


def check_diameter(spatial: Path, mpp: float) -> None:
    """Log a warning if the spot diameter in the scale factors is not that of Visium (55 or 65 um).

    Parameters
    ----------
    spatial
        Folder of Space Ranger's images and scale factors.
    mpp
        Micrometres per pixel of the full-resolution slide.

    Raises
    ------
    DataError
        If the scale factors cannot be read as JSON.
    """
    diameter = read_factors(spatial).get("spot_diameter_fullres")
    low, high = _DIAMETER_UM
    if diameter is not None and not low <= diameter * mpp <= high:
        tqdm.write(
            f"{spatial}: by their pitch of 100 um, spots have a diameter of {diameter * mpp:.3g} "
            "um, not of 55 or 65; are positions and scale factors of one section?"
        )


def _level_of(image: Path) -> str | None:
    """Return `hires` or `lowres` for a downscaled image, by its name; None for other images."""
    match = _DOWNSCALED_NAME.search(Path(image.name.lower().removesuffix(".gz")).stem)
    return None if match is None else match[1]


def _find_downscaled(folder: Path, spatial: Path, level: str) -> Path | None:
    """Return Space Ranger's image of a level (`hires` or `lowres`), if there is one."""
    for parent in (spatial, outputs(folder) / "spatial", outputs(folder), folder):
        if not parent.is_dir():
            continue
        images = [path for path in parent.iterdir() if path.name.lower().endswith(IMAGES)]
        for path in sorted(images):
            if _level_of(path) == level and not path.name.startswith("."):
                return path
    return None


def _require_unpacked(folder: Path, spatial: Path, pattern: str | None) -> None:
    """Refuse a folder whose only image is gzipped, as in GEO."""
    if pattern is not None or images_in(folder):
        return
    parents = (parent for parent in (spatial, folder) if parent.is_dir())
    gzipped = [
        path for parent in parents for path in sorted(parent.glob("*tissue_hires_image.*.gz"))
    ]
    if gzipped:
        raise DataError(f"{folder}: no image but {gzipped[0].name}, which is packed; unpack it")


def _check_size(
    image: Path, size: tuple[int, int], scale: float, other: Path, other_scale: float
) -> None:
    """Refuse an image whose size contradicts that of another image of the same slide.

    Parameters
    ----------
    image, size, scale
        The image, its width and height, and its scale relative to the full-resolution slide.
    other, other_scale
        Another image of the slide, and its scale.
    """
    other_size = np.array(image_size(other))
    if (np.abs(np.array(size) * other_scale / scale - other_size) <= _SIZE_TOLERANCE_PX).all():
        return
    width, height = (round(side * scale / other_scale) for side in other_size)
    x_ratio, y_ratio = size[0] / width, size[1] / height
    same_proportions = abs(x_ratio / y_ratio - 1) < _SIZE_TOLERANCE_PX / min(other_size)
    ratio = f", {x_ratio:.3g} times as large" if same_proportions else ""
    raise DataError(
        f"{image}: has {size[0]} x {size[1]} pixels{ratio}; by {other.name} and its scale factor "
        f"it should have {width} x {height}, in which the coordinates of the spots are given; give "
        "the image that Space Ranger was given, or set reader.image to that of tissue_hires_image"
    )
