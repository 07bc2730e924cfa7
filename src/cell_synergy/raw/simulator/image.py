"""Haematoxylin and eosin images of a simulated section."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, UInt8
from scipy.fft import irfft2, rfft2
from scipy.ndimage import fourier_gaussian
from tifffile import imwrite

from cell_synergy.raw.simulator.cells import Cells
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

STAINS = np.array(  # haematoxylin of Ruifrok and Johnston 2001, eosin of Macenko et al. 2009
    [[0.65, 0.70, 0.29], [0.216, 0.801, 0.558]]
)
TEXTURE = 1024  # pixels per side of a periodic texture
TILE = 512  # pixels per side of a tile of the file
CHUNK = 4096  # cells drawn at a time


class _Look(NamedTuple):
    """How cells of a type look: lengths in micrometres, densities in units of one stain."""

    length: float  # semi-axes of the nucleus
    width: float
    chromatin: float
    body: float  # radius of the cell body; 0 for none
    eosin: float  # what the body adds to the ground
    haematoxylin: float


class _Form(NamedTuple):
    """What the state `image_nuclei` does to every nucleus."""

    scale: float
    chromatin: float
    pale: float  # how far the centre is cleared


class _Layers(NamedTuple):
    """Stain densities of an image, with a border that cells may reach into."""

    eosin: Float32[np.ndarray, "height width"]
    haematoxylin: Float32[np.ndarray, "height width"]
    nuclei: Float32[np.ndarray, "height width"]


LOOKS = (  # in the order of `cells.TYPES`
    _Look(3.2, 3.0, 1.6, 0.0, 0.0, 0.0),
    _Look(8.0, 1.9, 1.35, 0.0, 0.0, 0.0),
    _Look(5.2, 4.4, 1.15, 8.0, 0.25, 0.15),
    _Look(3.4, 3.1, 1.5, 6.5, 0.05, 0.45),
    _Look(4.0, 2.8, 1.2, 8.5, -0.45, -0.1),
    _Look(5.5, 2.3, 1.3, 8.5, 0.55, 0.0),
)
FORMS = (_Form(0.9, 1.2, 0.0), _Form(1.15, 0.85, 0.7))
GROUND = np.array([[0.22, 0.13], [0.48, 0.03], [0.8, 0.0]], dtype=np.float32)
BORDER_UM = 12.0  # more than any cell reaches

Texture = Float32[np.ndarray, "size size"]


def textures(config: SimulatorConfig, rng: np.random.Generator) -> dict[str, Texture]:
    """Draw the periodic textures of a twin.

    `homogeneous`, `fibrous`, `vacuolated` and `reticular` are the levels of `image_stroma`, as
    factors of the ground's stain; the others are unit noise for borders, stain and camera.
    """

    def noise(scale_um: float) -> Texture:
        white = rfft2(rng.standard_normal((TEXTURE, TEXTURE), dtype=np.float32))
        smooth = irfft2(fourier_gaussian(white, scale_um / config.mpp, TEXTURE))
        return np.asarray(smooth / smooth.std(), dtype=np.float32)

    cycles = round(TEXTURE * config.mpp / 11.0)
    ramp = np.linspace(0, 2 * np.pi * cycles, TEXTURE, endpoint=False, dtype=np.float32)
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
    tiles: dict[str, Texture],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw one section like a slide stained with haematoxylin and eosin.

    Stain densities add up and become transmitted light by the Beer-Lambert law, with stain
    vectors, amounts and background of the donor's own.

    Parameters
    ----------
    config, lattice
        The twin; the section's units.
    latent
        Units x states; only those that the image shows are read.
    cells
        The section's cells.
    tiles
        The twin's textures.
    rng
        Random stream of the donor's image.
    """
    border = int(np.ceil(BORDER_UM / config.mpp)) + 1
    height_width = lattice.extent[::-1]
    size = tuple((np.round(height_width / config.mpp).astype(int) + 2 * border).tolist())
    shift = rng.integers(TEXTURE, size=2)
    index = np.ix_(*[(np.arange(n) + s) % TEXTURE for n, s in zip(size, shift, strict=True)])
    local = {name: tile[index] for name, tile in tiles.items()}
    layers = _ground(config, lattice, latent, local, border)
    state = latent["image_nuclei"].to_numpy()[cells.unit]
    form = np.where(rng.random(len(state)) < config.penetrance, state, 1 - state)
    angle = rng.uniform(0, np.pi, len(state)).astype(np.float32)
    scale = rng.uniform(0.88, 1.12, len(state)).astype(np.float32)
    for kind, look in enumerate(LOOKS[: config.cell_types]):
        for level, how in enumerate(FORMS):
            drawn = np.flatnonzero((cells.kind == kind) & (form == level))
            for part in np.split(drawn, range(CHUNK, len(drawn), CHUNK)):
                centre = cells.position[part] / config.mpp + border
                _stamp(layers, centre, angle[part], scale[part], look, how, config.mpp)
    rgb = _transmit(layers, local, config, rng)
    return np.ascontiguousarray(rgb[border:-border, border:-border])


def write(path: Path, image: UInt8[np.ndarray, "height width 3"], config: SimulatorConfig) -> None:
    """Write a tiled TIFF, JPEG-compressed with halved chroma, its resolution in the tags."""
    imwrite(
        path,
        image,
        photometric="rgb",
        tile=(TILE, TILE),
        compression="jpeg",
        compressionargs={"level": config.jpeg_quality, "optimize": True},
        subsampling=(2, 2),
        resolution=(1e4 / config.mpp, 1e4 / config.mpp),
        resolutionunit="CENTIMETER",
        metadata=None,
        software=False,
    )


def _ground(
    config: SimulatorConfig,
    lattice: Lattice,
    latent: pd.DataFrame,
    local: dict[str, Float32[np.ndarray, "height width"]],
    border: int,
) -> _Layers:
    """Return the stroma: its tone is `image_region`, its texture `image_stroma`."""
    height, width = local["border_x"].shape
    x = (np.arange(width, dtype=np.float32) - border) * config.mpp + 11 * local["border_x"]
    y = (np.arange(height, dtype=np.float32)[:, None] - border) * config.mpp + 11 * local[
        "border_y"
    ]
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    unit = lattice.nearest(points).reshape(height, width)
    kinds = [local[kind] for kind in ("homogeneous", "fibrous", "vacuolated", "reticular")]
    texture = np.choose(latent["image_stroma"].to_numpy()[unit], kinds)
    tone = GROUND[latent["image_region"].to_numpy()]
    return _Layers(
        eosin=tone[:, 0][unit] * texture,
        haematoxylin=tone[:, 1][unit] * texture,
        nuclei=np.zeros((height, width), dtype=np.float32),
    )


def _stamp(
    layers: _Layers,
    centre: Float64[np.ndarray, "cells 2"],
    angle: Float32[np.ndarray, " cells"],
    scale: Float32[np.ndarray, " cells"],
    look: _Look,
    form: _Form,
    mpp: float,
) -> None:
    """Draw cells of one look into the layers; `centre` is in pixels."""
    reach = int(np.ceil(max(1.2 * look.length * form.scale, look.body) / mpp))
    step = np.arange(-reach, reach + 1)
    row, column = (axis.ravel() for axis in np.meshgrid(step, step, indexing="ij"))
    width = layers.nuclei.shape[1]
    whole = np.floor(centre).astype(np.int64)
    pixel = ((whole[:, 1] * width + whole[:, 0])[:, None] + (row * width + column)).ravel()
    rest = whole + 0.5 - centre
    dx, dy = ((axis + rest[:, [i]]).astype(np.float32) for i, axis in enumerate((column, row)))
    nucleus = _nucleus(dx, dy, angle, scale * np.float32(form.scale / mpp), look, form)
    np.maximum.at(layers.nuclei.reshape(-1), pixel, nucleus.ravel())
    if look.body > 0:
        body = (0.5 * (look.body / mpp - np.hypot(dx, dy))).clip(0, 1).ravel()
        np.add.at(layers.eosin.reshape(-1), pixel, np.float32(look.eosin) * body)
        np.add.at(layers.haematoxylin.reshape(-1), pixel, np.float32(look.haematoxylin) * body)


def _nucleus(
    dx: Float32[np.ndarray, "cells pixels"],
    dy: Float32[np.ndarray, "cells pixels"],
    angle: Float32[np.ndarray, " cells"],
    scale: Float32[np.ndarray, " cells"],
    look: _Look,
    form: _Form,
) -> Float32[np.ndarray, "cells pixels"]:
    """Return the haematoxylin of anti-aliased ellipses, cleared in the middle if `form` says so."""
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    length, width = look.length * scale[:, None], look.width * scale[:, None]
    along, across = (dx * cosine + dy * sine) / length, (dy * cosine - dx * sine) / width
    radius = np.hypot(along, across)
    edge = ((1 - radius) * width + 0.5).clip(0, 1)
    centre = 1 - form.pale * (1 - radius**2).clip(0, 1)
    return np.asarray(look.chromatin * form.chromatin * edge * centre, dtype=np.float32)


def _transmit(
    layers: _Layers,
    local: dict[str, Float32[np.ndarray, "height width"]],
    config: SimulatorConfig,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Mix the stains into light: donor's vectors, amounts and background; slide; camera."""
    vectors = STAINS + rng.normal(0, 0.3 * config.stain_sd, STAINS.shape)
    amounts = np.exp(rng.normal(0, config.stain_sd, 2))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * amounts[:, None]).astype(
        np.float32
    )
    white = np.float32(245) + rng.normal(0, 20 * config.stain_sd, 3).astype(np.float32)
    slide = 1 + 0.05 * local["thickness"]
    eosin = layers.eosin.clip(0, 1.6) * (1 - 0.6 * layers.nuclei.clip(0, 1)) * slide
    haematoxylin = (layers.haematoxylin.clip(0, 0.6) + layers.nuclei) * slide
    rgb = np.empty((*eosin.shape, 3), dtype=np.uint8)
    for channel in range(3):
        density = haematoxylin * vectors[0, channel] + eosin * vectors[1, channel]
        light = white[channel] * np.exp(-density) + 1.5 * local["camera"]
        rgb[..., channel] = np.round(light.clip(0, 255)).astype(np.uint8)
    return rgb
