"""Anti-aliased ellipses on a grid of pixels."""

import numpy as np
from jaxtyping import Float32, Float64, Int64


def surroundings(
    centre: Float64[np.ndarray, "shapes 2"], reach: int, width: int
) -> tuple[
    Int64[np.ndarray, " shapes_x_pixels"],
    Float32[np.ndarray, "shapes pixels"],
    Float32[np.ndarray, "shapes pixels"],
]:
    """Return the pixels of a square around the centre of each shape.

    Parameters
    ----------
    centre
        X and y of each shape, in pixels from the top left corner of the image.
    reach
        Number of pixels from the central pixel to each side of the square.
    width
        Width of the image in pixels.

    Returns
    -------
    Indices of the pixels in the flattened image, shape by shape, and the distances of their centres
    from the centre of the shape, in pixels along x and along y.
    """
    step = np.arange(-reach, reach + 1)
    row, column = (axis.ravel() for axis in np.meshgrid(step, step, indexing="ij"))
    whole = np.floor(centre).astype(np.int64)
    pixel = ((whole[:, 1] * width + whole[:, 0])[:, None] + (row * width + column)).ravel()
    offset = whole + 0.5 - centre
    dx, dy = ((axis + offset[:, [i]]).astype(np.float32) for i, axis in enumerate((column, row)))
    return pixel, dx, dy


def ellipse(
    dx: Float32[np.ndarray, "shapes pixels"],
    dy: Float32[np.ndarray, "shapes pixels"],
    angle: Float32[np.ndarray, " shapes"],
    length: Float32[np.ndarray, " shapes"],
    width: Float32[np.ndarray, " shapes"],
) -> tuple[Float32[np.ndarray, "shapes pixels"], Float32[np.ndarray, "shapes pixels"]]:
    """Return ellipses with smooth edges.

    Parameters
    ----------
    dx, dy
        Distances from the centre, in pixels.
    angle
        Angle of the long axis, in radians.
    length, width
        Semi-axes, in pixels.

    Returns
    -------
    Distance from the centre relative to the edge (1 on the edge), and the share of each pixel that
    the ellipse covers.
    """
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = (dx * cosine + dy * sine) / length[:, None]
    across = (dy * cosine - dx * sine) / width[:, None]
    radius = np.hypot(along, across)
    return radius, ((1 - radius) * width[:, None] + 0.5).clip(0, 1)
