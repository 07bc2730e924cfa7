"""Readers of H&E images in TIFF, PNG and JPEG.

Coordinates are x to the right and y downwards, in pixels of the full resolution. Small images are
decoded whole, whole-slide images tile by tile. The names in `__all__` may be used outside of this
folder; its modules are internal.
"""

from cell_synergy.raw.images.formats import require_image
from cell_synergy.raw.images.opening import image_size, open_slide
from cell_synergy.raw.images.slide import Slide
from cell_synergy.raw.images.tissue import TissueConfig, on_tissue

__all__ = ["Slide", "TissueConfig", "image_size", "on_tissue", "open_slide", "require_image"]
