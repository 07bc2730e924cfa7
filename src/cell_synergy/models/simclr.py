"""SimCLR across modalities: contrast image and expression of one observation with all others.

Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (ICML),
equation 1; authors' code google-research/simclr at 383d414. The two views of an
observation are its two modalities, as in CLIP, each with its own encoder and projector.

Departures: views are embeddings (Gaussian noise and feature dropout instead of image augmentation);
AdamW with a cosine schedule as for every method here, not LARS.
"""

from functools import partial
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import nt_xent
from cell_synergy.training.modules import Network, TwoTowerContrastive


class Model(Trained):
    """SimCLR with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    temperature
        Temperature of the loss.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    temperature: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        pair_loss = partial(nt_xent, temperature=self.temperature)
        return TwoTowerContrastive(d1, d2, self.hidden, self.width, pair_loss)
