"""CoMM: contrast the fusion of one view with each modality and with the fusion of another view.

Dufumier et al. 2025, "What to align in multimodal contrastive learning?" (ICLR), equations 4-7;
authors' code Duplums/CoMM. A transformer fuses `[CLS; image tokens; expression tokens]` by
self-attention; masking the tokens of one modality gives the embedding of the other alone. For two
augmented views, InfoNCE pairs the fusion of each with {image only, expression only, fusion} of
the other; the three terms are averaged. `z3` is the fused embedding, before the projector.

Departures: views are embeddings with Gaussian noise and feature dropout; the `tokens` tokens of a
modality are learned linear maps of its single embedding, which share a bottleneck of `rank`
dimensions. With `pairing: within-donor`, the control `shuffled`, the expression embeddings are
permuted within each donor before training.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from cell_synergy.core.permutation import within_donor_permutation
from cell_synergy.core.random import stream
from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import nt_xent
from cell_synergy.training.method import FitSpec, Pairs, RunContext, Weights
from cell_synergy.training.modules import Inputs, Network, TransformerBlock, mlp


class Model(Trained):
    """CoMM on one embedding per modality.

    Attributes
    ----------
    pairing
        "own" for the true pairs; "within-donor" for expression permuted within each donor.
    width
        Number of features of a token, and dimension of the joint embedding.
    tokens
        Number of tokens per modality.
    rank
        Dimension of the bottleneck between a modality's embedding and its tokens.
    layers, heads
        Numbers of transformer blocks, and of attention heads in each.
    temperature
        Temperature of InfoNCE.
    """

    pairing: Literal["own", "within-donor"]
    width: PositiveInt
    tokens: PositiveInt
    rank: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    temperature: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        return CoMM(d1, d2, self)

    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        if self.pairing == "within-donor":
            specs = [
                replace(spec, pairs=permute_within_donor(spec.pairs, spec.seed)) for spec in specs
            ]
        return super().fit(specs, context)


class CoMM(Network):
    """The fusion transformer of CoMM, its projector and its objective.

    Parameters
    ----------
    d1, d2
        Numbers of input features from image and expression.
    model
        The hyperparameters.
    """

    n_views = 2

    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__()
        self.model = model
        size = model.tokens * model.width
        self.adapters = nn.ModuleList(
            [nn.Sequential(nn.Linear(d, model.rank), nn.Linear(model.rank, size)) for d in (d1, d2)]
        )
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, model.width))
        self.blocks = nn.ModuleList(
            [TransformerBlock(model.width, model.heads) for _ in range(model.layers)]
        )
        self.norm = nn.LayerNorm(model.width)
        self.projectors = mlp(model.width, model.width, model.width)

    def fuse(
        self, inputs: Inputs, visible: Sequence[tuple[bool, bool]]
    ) -> Float[Tensor, "masks obs width"]:
        """Return the normalised output of the CLS token under each mask.

        Parameters
        ----------
        inputs
            Embeddings of both modalities.
        visible
            One entry per mask: whether image tokens and whether expression tokens are visible.
        """
        n_obs, n_tokens = len(inputs[0]), self.model.tokens
        tokens = [
            adapter(x).unflatten(1, (n_tokens, -1))
            for adapter, x in zip(self.adapters, inputs, strict=True)
        ]
        sequence = torch.cat([self.cls.expand(n_obs, -1, -1), *tokens], dim=1)[None]
        hidden = torch.tensor(
            [[False] + [not modality for modality in mask for _ in range(n_tokens)]
             for mask in visible],
            device=sequence.device,
        )  # fmt: skip
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
    """Return the loss of CoMM: the mean over masks of InfoNCE with the fusion of the other view.

    A mask hides the tokens of one modality, or none for the fusion of both. InfoNCE (`nt_xent`, in
    nats) is averaged over the two views.

    Parameters
    ----------
    z1, z2
        Projected embeddings of the two views, one tensor per mask, the fusion last; row i of all is
        one observation.
    temperature
        Divisor of the cosine similarities.
    """
    fusions = [z2[-1]] * len(z1) + [z1[-1]] * len(z2)
    return nt_xent(torch.stack([*z1, *z2]), torch.stack(fusions), temperature)


def permute_within_donor(pairs: Pairs, seed: int) -> Pairs:
    """Return pairs whose expression embeddings are permuted within each donor.

    Images and donors keep their order.

    Parameters
    ----------
    pairs
        Paired embeddings, with the donor of each observation.
    seed
        Seed of the fit, from which the random stream of the permutation derives.
    """
    order = within_donor_permutation(pairs.donor, stream(seed, "shuffled pairs"))
    return Pairs(pairs.image, pairs.expression[order], pairs.donor)
