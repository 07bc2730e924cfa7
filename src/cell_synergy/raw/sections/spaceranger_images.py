"""The images that Space Ranger makes of a slide, and their scale factors.

`tissue_hires_image` (at most 2,000 or 4,000 pixels a side) and `tissue_lowres_image` (600) are the
slide times `tissue_hires_scalef` and `tissue_lowres_scalef` of `scalefactors_json.json` (10x
Genomics, "Space Ranger spatial outputs"). They stand in for a slide that was not published, and
tell whether a slide is the one that the places of the spots count in.
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

_SLACK = 2.0  # pixels by which Space Ranger's rounding may miss
_DIAMETER_UM = (45.0, 75.0)  # of Visium's spots: 55, in some versions 65
_NAME = re.compile(r"(?:^|[_.-])tissue_(hires|lowres)_image$", re.IGNORECASE)


def find_slide(
    folder: Path, spatial: Path, pattern: str | None, mpp: float, needed: bool
) -> tuple[Path | None, float, tuple[int, int] | None]:
    """Return a section's image, its micrometres per pixel, and its width and height.

    Where there is no image and none is `needed`, the first and the last are None.

    Parameters
    ----------
    folder, spatial
        Of the section, and of Space Ranger's images in it.
    pattern
        `sections.image`; without it the only slide in the folder, or `tissue_hires_image`.
    mpp
        Micrometres per pixel of the slide that Space Ranger was given.

    Raises
    ------
    DataError
        If there is no image, its scale factor is missing, or its size shows that it is not the
        slide that Space Ranger was given.
    """
    images = {level: _image(folder, spatial, level) for level in ("hires", "lowres")}
    hires = images["hires"]
    if not needed and hires is None and not has_image(folder, pattern):
        return None, mpp, None
    if pattern is None and not images_in(folder) and hires is not None:
        image = hires
        tqdm.write(f"{folder}: no full-resolution image, {hires.name} is taken")
    else:
        _require_unpacked(folder, spatial, pattern)
        image = find_image(folder, pattern)
    size = image_size(image)
    level = _level(image)
    if level is None and not any(images.values()):
        return image, mpp, size
    factors = read_factors(spatial)
    key = f"tissue_{level}_scalef"
    if level is not None and key not in factors:
        raise DataError(
            f"{spatial}: no number {key!r} in scalefactors_json.json, the scale of {image.name}; "
            "copy the file again, or put the full-resolution image into the section's folder"
        )
    scale = 1.0 if level is None else factors[key]
    for other, path in images.items():
        known = f"tissue_{other}_scalef"
        if other != level and path is not None and known in factors:
            _check_size(image, size, scale, path, factors[known])
    return image, mpp / scale, size


def read_factors(spatial: Path) -> dict[str, float]:
    """Return the positive numbers of a folder's `scalefactors_json.json`; none without the file."""
    found = sorted(spatial.glob("*scalefactors_json.json*"))
    found = [path for path in found if not path.name.startswith(".")]
    if not found:
        return {}
    return {
        key: float(value)
        for key, value in filetypes.read_json(found[0], "scale factors", AGAIN).items()
        if isinstance(value, int | float) and 0 < value < float("inf")
    }


def check_diameter(spatial: Path, mpp: float) -> None:
    """Say so if the spots of Visium's scale factors are not as large as Visium's are."""
    diameter = read_factors(spatial).get("spot_diameter_fullres")
    low, high = _DIAMETER_UM
    if diameter is not None and not low <= diameter * mpp <= high:
        tqdm.write(
            f"{spatial}: by their pitch of 100 um, spots have a diameter of {diameter * mpp:.3g} "
            "um, not of 55 or 65; are positions and scale factors of one section?"
        )


def _level(image: Path) -> str | None:
    found = _NAME.search(Path(image.name.lower().removesuffix(".gz")).stem)
    return None if found is None else found[1]


def _image(folder: Path, spatial: Path, level: str) -> Path | None:
    """Return Space Ranger's image of a level, if it is there."""
    for place in (spatial, outputs(folder) / "spatial", outputs(folder), folder):
        if not place.is_dir():
            continue
        found = [path for path in place.iterdir() if path.name.lower().endswith(IMAGES)]
        for path in sorted(found):
            if _level(path) == level and not path.name.startswith("."):
                return path
    return None


def _require_unpacked(folder: Path, spatial: Path, pattern: str | None) -> None:
    """Say so if the only image is packed, as GEO has it."""
    if pattern is not None or images_in(folder):
        return
    places = (place for place in (spatial, folder) if place.is_dir())
    packed = [path for place in places for path in sorted(place.glob("*tissue_hires_image.*.gz"))]
    if packed:
        raise DataError(f"{folder}: no image but {packed[0].name}, which is packed; unpack it")


def _check_size(
    image: Path, size: tuple[int, int], scale: float, other: Path, factor: float
) -> None:
    """Refuse an image of another size than another image of the same slide says."""
    other_size = np.array(image_size(other))
    if (np.abs(np.array(size) * factor / scale - other_size) <= _SLACK).all():
        return
    width, height = (round(side * scale / factor) for side in other_size)
    across, down = size[0] / width, size[1] / height
    same = abs(across / down - 1) < _SLACK / min(other_size)
    what = f", {across:.3g} times as large" if same else ""
    raise DataError(
        f"{image}: has {size[0]} x {size[1]} pixels{what}; by {other.name} and its scale factor it "
        f"should have {width} x {height}, which the places of the spots count in; give the image "
        "that Space Ranger was given, or set sections.image to that of tissue_hires_image"
    )
