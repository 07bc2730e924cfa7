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

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from cell_synergy.core.random import stream
from cell_synergy.training.loop import Trained
from cell_synergy.training.method import Job, Pairs, Run, Weights
from cell_synergy.training.modules import Block, Inputs, Network, mlp, nt_xent


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

    def fit(self, jobs: Sequence[Job], run: Run) -> list[Weights]:
        if self.pairing == "within-donor":
            jobs = [replace(job, pairs=shuffled(job.pairs, job.seed)) for job in jobs]
        return super().fit(jobs, run)


class _CoMM(Network):
    views = 2

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
        self.projectors = mlp(model.width, model.width, model.width)

    def fuse(
        self, inputs: Inputs, seen: Sequence[tuple[bool, bool]]
    ) -> Float[Tensor, "sets obs width"]:
        """Return the CLS output for each set of modalities (image, expression) that is `seen`."""
        units, count = len(inputs[0]), self.model.tokens
        tokens = [
            adapter(x).unflatten(1, (count, -1))
            for adapter, x in zip(self.adapters, inputs, strict=True)
        ]
        sequence = torch.cat([self.cls.expand(units, -1, -1), *tokens], dim=1)[None]
        hidden = torch.tensor(
            [[False] + [not side for side in sides for _ in range(count)] for sides in seen],
            device=sequence.device,
        )
        for block in self.blocks[:-1]:
            sequence = block(sequence, hidden, sequence.shape[2])
        normed: Tensor = self.norm(self.blocks[-1](sequence, hidden, 1)[:, :, 0])
        return normed

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        both = (torch.cat([views[0][0], views[1][0]]), torch.cat([views[0][1], views[1][1]]))
        fused = self.fuse(both, [(True, False), (False, True), (True, True)])
        projected = [self.projectors(z).chunk(2) for z in fused]
        first, second = ([z[view] for z in projected] for view in (0, 1))
        return comm_loss(first, second, self.model.temperature)

    def joint(self, inputs: Inputs) -> Float[Tensor, "obs width"]:
        return self.fuse(inputs, [(True, True)])[0]


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
