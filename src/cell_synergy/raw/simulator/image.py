"""Rendering of H&E images of simulated sections."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, UInt8
from scipy.fft import irfft2, rfft2
from scipy.ndimage import fourier_gaussian
from tifffile import imwrite

from cell_synergy.raw.simulator import deposits, shapes
from cell_synergy.raw.simulator.cells import Cells
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

_STAIN_VECTORS = (
    np.array(  # haematoxylin of Ruifrok and Johnston 2001, eosin of Macenko et al. 2009
        [[0.65, 0.70, 0.29], [0.216, 0.801, 0.558]]
    )
)
_TEXTURE_SIDE = 1024  # pixels per side of a periodic texture
_TILE_SIDE = 512  # pixels per side of a tile of the file
_CHUNK = 4096  # cells that are rendered at a time


class _CellAppearance(NamedTuple):
    """Appearance of a cell type.

    Attributes
    ----------
    length, width
        Semi-axes of the nucleus, in micrometres.
    chromatin
        Haematoxylin density of the nucleus.
    body
        Radius of the cell body, in micrometres; 0 for none.
    eosin, haematoxylin
        Densities that the cell body adds to those of the stroma.
    """

    length: float
    width: float
    chromatin: float
    body: float
    eosin: float
    haematoxylin: float


class _NuclearState(NamedTuple):
    """Effect of a level of `image_nuclei` on nuclei.

    Attributes
    ----------
    scale, chromatin
        Factors of the semi-axes and of the haematoxylin density.
    clearing
        Share by which the density in the centre is reduced.
    """

    scale: float
    chromatin: float
    clearing: float


class _Densities(NamedTuple):
    """Stain densities (of stroma and cell bodies, and of nuclei) of an image with a border.

    The border has room for cells that extend beyond the edge of the image.
    """

    eosin: Float32[np.ndarray, "height width"]
    haematoxylin: Float32[np.ndarray, "height width"]
    nuclei: Float32[np.ndarray, "height width"]


_CELL_APPEARANCES = (  # in the order of `cells.TYPES`
    _CellAppearance(3.2, 3.0, 1.6, 0.0, 0.0, 0.0),
    _CellAppearance(8.0, 1.9, 1.35, 0.0, 0.0, 0.0),
    _CellAppearance(5.2, 4.4, 1.15, 8.0, 0.25, 0.15),
    _CellAppearance(3.4, 3.1, 1.5, 6.5, 0.05, 0.45),
    _CellAppearance(4.0, 2.8, 1.2, 8.5, -0.45, -0.1),
    _CellAppearance(5.5, 2.3, 1.3, 8.5, 0.55, 0.0),
)
_NUCLEAR_STATES = (_NuclearState(0.9, 1.2, 0.0), _NuclearState(1.15, 0.85, 0.7))
# eosin and haematoxylin of the stroma, by `image_region`
_STROMA_DENSITY = np.array([[0.22, 0.13], [0.48, 0.03], [0.8, 0.0]], dtype=np.float32)
_BORDER_UM = 12.0  # larger than the radius of any cell

Texture = Float32[np.ndarray, "size size"]


def draw_textures(config: SimulatorConfig, rng: np.random.Generator) -> dict[str, Texture]:
    """Draw the periodic textures of a simulated data set.

    `homogeneous`, `fibrous`, `vacuolated` and `reticular` are the levels of `image_stroma`, which
    multiply the stain densities of the stroma. `border_x` and `border_y` (displacements of the
    borders between observations), `thickness` (of the section) and `camera` are noise of unit
    variance. All textures have 1024 pixels per side.

    Parameters
    ----------
    config
        Configuration of the data set.
    rng
        Random stream of the data set's textures.
    """

    def noise(scale_um: float) -> Texture:
        white = rfft2(rng.standard_normal((_TEXTURE_SIDE, _TEXTURE_SIDE), dtype=np.float32))
        smooth = irfft2(fourier_gaussian(white, scale_um / config.mpp, _TEXTURE_SIDE))
        return np.asarray(smooth / smooth.std(), dtype=np.float32)

    cycles = round(_TEXTURE_SIDE * config.mpp / 11.0)
    ramp = np.linspace(0, 2 * np.pi * cycles, _TEXTURE_SIDE, endpoint=False, dtype=np.float32)
    wave = np.sin(ramp[:, None] + 7 * noise(25.0))
    return {
        "homogeneous": 1 + 0.06 * noise(8.0),
        "fibrous": 1 + 0.38 * wave * (0.8 + 0.2 * noise(12.0)).clip(0, 1.2),
        "vacuolated": 1.1 / (1 + np.exp(9 * (noise(6.5) - 0.55))),
        "reticular": 0.6 + 0.85 * np.exp(-((noise(5.0) / 0.33) ** 2)),
        "border_x": noise(15.0),
        "border_y": noise(15.0),
        "thickness": noise(60.0),
        "camera": noise(0.5 * config.mpp),
    }


def render(
    config: SimulatorConfig,
    lattice: Lattice,
    latent: pd.DataFrame,
    cells: Cells,
    textures: dict[str, Texture],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Render one section as a slide stained with haematoxylin and eosin.

    Stain densities are summed and converted to transmitted light by the Beer-Lambert law, with
    stain vectors, stain amounts and background drawn for each donor.

    Parameters
    ----------
    config, lattice
        Configuration of the data set, and the observations of the section.
    latent
        Latent states, observations x states; only those that affect the image are used.
    cells
        The section's cells.
    textures
        Textures of the data set.
    rng
        Random stream of the donor's image.
    """
    border = int(np.ceil(_BORDER_UM / config.mpp)) + 1
    height_width = lattice.extent[::-1]
    height, width = (np.round(height_width / config.mpp).astype(int) + 2 * border).tolist()
    size = (height, width)
    shift = rng.integers(_TEXTURE_SIDE, size=2)
    index = np.ix_(*[(np.arange(n) + s) % _TEXTURE_SIDE for n, s in zip(size, shift, strict=True)])
    crops = {name: texture[index] for name, texture in textures.items()}
    densities = _draw_stroma(config, lattice, latent, crops, border)
    state = latent["image_nuclei"].to_numpy()[cells.obs_index]
    nuclear_state = np.where(rng.random(len(state)) < config.penetrance, state, 1 - state)
    angle = rng.uniform(0, np.pi, len(state)).astype(np.float32)
    scale = rng.uniform(0.88, 1.12, len(state)).astype(np.float32)
    for cell_type, appearance in enumerate(_CELL_APPEARANCES[: config.cell_types]):
        for level, nuclear in enumerate(_NUCLEAR_STATES):
            rows = np.flatnonzero((cells.cell_type == cell_type) & (nuclear_state == level))
            for part in np.split(rows, range(_CHUNK, len(rows), _CHUNK)):
                centre = cells.coords[part] / config.mpp + border
                _draw_cells(
                    densities, centre, angle[part], scale[part], appearance, nuclear, config.mpp
                )
    drawn = deposits.draw(config, lattice, latent, size, border, rng)
    rgb = _densities_to_rgb(densities, drawn, crops, config, rng)
    return np.ascontiguousarray(rgb[border:-border, border:-border])


def write(path: Path, image: UInt8[np.ndarray, "height width 3"], config: SimulatorConfig) -> None:
    """Write a tiled TIFF with JPEG compression, 2 x 2 chroma subsampling and resolution tags.

    Parameters
    ----------
    path
        File to write.
    image
        8-bit RGB image.
    config
        Configuration of the data set, with the JPEG quality and the micrometres per pixel.
    """
    imwrite(
        path,
        image,
        photometric="rgb",
        tile=(_TILE_SIDE, _TILE_SIDE),
        compression="jpeg",
        compressionargs={"level": config.jpeg_quality, "optimize": True},
        subsampling=(2, 2),
        resolution=(1e4 / config.mpp, 1e4 / config.mpp),
        resolutionunit="CENTIMETER",
        metadata=None,
        software=False,
    )


def _draw_stroma(
    config: SimulatorConfig,
    lattice: Lattice,
    latent: pd.DataFrame,
    crops: dict[str, Float32[np.ndarray, "height width"]],
    border: int,
) -> _Densities:
    """Return the stroma, with density by `image_region` and texture by `image_stroma`."""
    height, width = crops["border_x"].shape
    x = (np.arange(width, dtype=np.float32) - border) * config.mpp + 11 * crops["border_x"]
    rows = np.arange(height, dtype=np.float32)[:, None]
    y = (rows - border) * config.mpp + 11 * crops["border_y"]
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    obs_index = lattice.nearest(points).reshape(height, width)
    levels = [crops[name] for name in ("homogeneous", "fibrous", "vacuolated", "reticular")]
    texture = np.choose(latent["image_stroma"].to_numpy()[obs_index], levels)
    density = _STROMA_DENSITY[latent["image_region"].to_numpy()]
    return _Densities(
        eosin=density[:, 0][obs_index] * texture,
        haematoxylin=density[:, 1][obs_index] * texture,
        nuclei=np.zeros((height, width), dtype=np.float32),
    )


def _draw_cells(
    densities: _Densities,
    centre: Float64[np.ndarray, "cells 2"],
    angle: Float32[np.ndarray, " cells"],
    scale: Float32[np.ndarray, " cells"],
    appearance: _CellAppearance,
    nuclear: _NuclearState,
    mpp: float,
) -> None:
    """Add cells of one type and nuclear state to the densities in place; `centre` is in pixels."""
    reach = int(np.ceil(max(1.2 * appearance.length * nuclear.scale, appearance.body) / mpp))
    pixel, dx, dy = shapes.surroundings(centre, reach, densities.nuclei.shape[1])
    scale = scale * np.float32(nuclear.scale / mpp)
    nucleus = _nucleus_density(dx, dy, angle, scale, appearance, nuclear)
    np.maximum.at(densities.nuclei.reshape(-1), pixel, nucleus.ravel())
    if appearance.body > 0:
        body = (0.5 * (appearance.body / mpp - np.hypot(dx, dy))).clip(0, 1).ravel()
        eosin = np.float32(appearance.eosin) * body
        haematoxylin = np.float32(appearance.haematoxylin) * body
        np.add.at(densities.eosin.reshape(-1), pixel, eosin)
        np.add.at(densities.haematoxylin.reshape(-1), pixel, haematoxylin)


def _nucleus_density(
    dx: Float32[np.ndarray, "cells pixels"],
    dy: Float32[np.ndarray, "cells pixels"],
    angle: Float32[np.ndarray, " cells"],
    scale: Float32[np.ndarray, " cells"],
    appearance: _CellAppearance,
    nuclear: _NuclearState,
) -> Float32[np.ndarray, "cells pixels"]:
    """Return the haematoxylin density of anti-aliased elliptical nuclei."""
    length, width = appearance.length * scale, appearance.width * scale
    radius, edge = shapes.ellipse(dx, dy, angle, length, width)
    centre = 1 - nuclear.clearing * (1 - radius**2).clip(0, 1)
    chromatin = appearance.chromatin * nuclear.chromatin
    return np.asarray(chromatin * edge * centre, dtype=np.float32)


def _densities_to_rgb(
    densities: _Densities,
    drawn: deposits.Deposits,
    crops: dict[str, Float32[np.ndarray, "height width"]],
    config: SimulatorConfig,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Convert densities and deposits to RGB by the Beer-Lambert law, and add camera noise."""
    vectors = _STAIN_VECTORS + rng.normal(0, 0.3 * config.stain_sd, _STAIN_VECTORS.shape)
    amounts = np.exp(rng.normal(0, config.stain_sd, 2))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * amounts[:, None]).astype(
        np.float32
    )
    white = np.float32(245) + rng.normal(0, 20 * config.stain_sd, 3).astype(np.float32)
    thickness = (1 + 0.05 * crops["thickness"]) * drawn.tissue
    eosin = densities.eosin.clip(0, 1.6) * (1 - 0.6 * densities.nuclei.clip(0, 1)) * thickness
    haematoxylin = (densities.haematoxylin.clip(0, 0.6) + densities.nuclei) * thickness
    rgb = np.empty((*eosin.shape, 3), dtype=np.uint8)
    for channel in range(3):
        absorbance = haematoxylin * vectors[0, channel] + eosin * vectors[1, channel]
        absorbance += drawn.absorbance[..., channel]
        light = white[channel] * np.exp(-absorbance) + 1.5 * crops["camera"]
        rgb[..., channel] = np.round(light.clip(0, 255)).astype(np.uint8)
    return rgb
