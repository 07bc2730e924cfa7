"""CoMM: contrast the fused embedding of one view with each modality, and with itself, of the other.

Dufumier et al. 2025, "What to align in multimodal contrastive learning?" (ICLR), equations 4-7;
authors' code Duplums/CoMM. A transformer fuses `[CLS; image tokens; expression tokens]` by
self-attention; hiding one modality's tokens gives its unimodal embedding. For two augmented views,
InfoNCE ties the fused embedding of each to {image only, expression only, fused} of the other; the
three terms are averaged. `z3` is the fused embedding, before the projector.

Departures: views are embeddings (Gaussian noise and feature dropout); a modality's tokens are
`tokens` learned linear maps, through `rank` dimensions, of its one embedding. With `pairing:
within-donor` the expression rows are permuted within each donor: the control
`shuffled`, which is this same file.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from cell_synergy.finetuning.training import Inputs, Network, Trained
from cell_synergy.models import Pairs, Run, Weights
from cell_synergy.networks import Block, mlp, nt_xent
from cell_synergy.streams import stream


class Model(Trained):
    """`width` of every token and of `z3`; `tokens` per modality; transformer `layers`, `heads`."""

    pairing: Literal["own", "within-donor"]
    width: PositiveInt
    tokens: PositiveInt
    rank: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    temperature: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        return _CoMM(d1, d2, self)

    def fit(self, pairs: Pairs, run: Run) -> Weights:
        return super().fit(pairs if self.pairing == "own" else shuffled(pairs, run.seed), run)


class _CoMM(Network):
    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__()
        self.model = model
        size = model.tokens * model.width
        self.adapters = nn.ModuleList(
            [nn.Sequential(nn.Linear(d, model.rank), nn.Linear(model.rank, size)) for d in (d1, d2)]
        )
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, model.width))
        self.blocks = nn.ModuleList([Block(model.width, model.heads) for _ in range(model.layers)])
        self.norm = nn.LayerNorm(model.width)
        self.projector = mlp(model.width, model.width, model.width)

    def fuse(self, inputs: Inputs, hidden: int | None = None) -> Float[Tensor, "units width"]:
        """Return the CLS output; the tokens of the modality `hidden` are masked, by absence."""
        units = len(inputs[0])
        tokens = [
            adapter(x).view(units, self.model.tokens, self.model.width)
            for number, (adapter, x) in enumerate(zip(self.adapters, inputs, strict=True))
            if number != hidden
        ]
        sequence = torch.cat([self.cls.expand(units, -1, -1), *tokens], dim=1)
        for block in self.blocks[:-1]:
            sequence = block(sequence, sequence.shape[1])
        normed: Tensor = self.norm(self.blocks[-1](sequence, 1)[:, 0])
        return normed

    def loss(self, views: tuple[Inputs, Inputs]) -> Float[Tensor, ""]:
        both = (torch.cat([views[0][0], views[1][0]]), torch.cat([views[0][1], views[1][1]]))
        projected = [self.projector(self.fuse(both, hidden)).chunk(2) for hidden in (1, 0, None)]
        first, second = ([z[view] for z in projected] for view in (0, 1))
        return comm_loss(first, second, self.model.temperature)

    def joint(self, inputs: Inputs) -> Float[Tensor, "units width"]:
        return self.fuse(inputs)


def comm_loss(
    z1: list[Float[Tensor, "n d"]], z2: list[Float[Tensor, "n d"]], temperature: float
) -> Float[Tensor, ""]:
    """Return the mean over modality sets of the symmetrised InfoNCE with the other view's fusion.

    `z1[i]`, `z2[i]` are the projected embeddings of the two views; the last entry is the fusion.
    """
    terms = [
        (nt_xent(a, z2[-1], temperature) + nt_xent(b, z1[-1], temperature)) / 2
        for a, b in zip(z1, z2, strict=True)
    ]
    return torch.stack(terms).mean()


def shuffled(pairs: Pairs, seed: int) -> Pairs:
    """Return pairs whose expression rows are permuted within each donor."""
    order = np.arange(len(pairs.donor))
    draws = stream(seed, "shuffled pairs")
    for donor in np.unique(pairs.donor):
        own = np.flatnonzero(pairs.donor == donor)
        order[own] = draws.permutation(own)
    return Pairs(pairs.image, pairs.expression[order], pairs.donor)
