"""H&E images: x to the right, y down. Small ones are read whole, slides tile by tile."""

from cell_synergy.raw.images.formats import present
from cell_synergy.raw.images.opening import image_size, open_slide
from cell_synergy.raw.images.slide import Slide
from cell_synergy.raw.images.tissue import TissueRule, on_tissue

__all__ = ["Slide", "TissueRule", "image_size", "on_tissue", "open_slide", "present"]
