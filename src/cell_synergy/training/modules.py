"""What a trained method optimises, and building blocks that two methods share."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cell_synergy.core.errors import ConfigError

Inputs = tuple[Float[Tensor, "*jobs obs d1"], Float[Tensor, "*jobs obs d2"]]
Loss = TypeVar("Loss", bound=Callable[..., Tensor])
Comparison = Callable[[Float[Tensor, "n d"], Float[Tensor, "n d"]], Float[Tensor, ""]]


class Network(nn.Module):
    """What a trained method optimises: written for one model, computed for many (`Stack`).

    Attributes
    ----------
    views
        Augmented views of each batch that `loss` takes.
    """

    views: ClassVar[int] = 1
    _aside = ("projectors.", "predictors.", "target.")

    @abstractmethod
    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the objective on augmented views of one batch of pairs."""

    @abstractmethod
    def joint(self, inputs: Inputs) -> Float[Tensor, "obs d3"]:
        """Return the joint embedding `z3`."""

    def forward(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the loss."""
        return self.loss(views)

    def after_step(
        self, learnt: Mapping[str, Tensor], state: Mapping[str, Tensor], progress: float
    ) -> None:
        """Change what is not learnt by gradient, in place, after each step.

        Parameters
        ----------
        learnt, state
            Stacked parameters, and all else, by name.
        progress
            Share of the steps that are done, up to 1.
        """

    def kept(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the part of a state that `joint` needs: heads of the objective are left out."""
        return {k: v for k, v in state.items() if not k.startswith(self._aside)}


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return one hidden layer with batch norm and ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        _Norm(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


class _Norm(nn.BatchNorm1d):
    """Batch norm in the precision of its statistics; `vmap` cannot mix the two."""

    def forward(self, x: Float[Tensor, "obs d"]) -> Float[Tensor, "obs d"]:
        return super().forward(x.to(self.weight.dtype))


class Towers(Network):
    """One encoder per modality, half of `width` each; `z3` is their outputs side by side."""

    def __init__(self, d1: int, d2: int, hidden: int, width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([mlp(d, hidden, width // 2) for d in (d1, d2)])

    def encode(self, inputs: Inputs) -> list[Float[Tensor, "obs half"]]:
        """Return each modality's part of `z3`."""
        return [f(x) for f, x in zip(self.encoders, inputs, strict=True)]

    def joint(self, inputs: Inputs) -> Float[Tensor, "obs width"]:
        """Return the joint embedding `z3`."""
        return torch.cat(self.encode(inputs), dim=1)


class Projected(Towers):
    """Towers with a projector on each encoder, for the objective only (Chen et al. 2020)."""

    def __init__(self, d1: int, d2: int, hidden: int, width: int) -> None:
        super().__init__(d1, d2, hidden, width)
        half = width // 2
        self.projectors = nn.ModuleList([mlp(half, half, half) for _ in range(2)])

    def project(self, inputs: Inputs) -> list[Float[Tensor, "obs half"]]:
        """Return each modality's projection."""
        return [g(h) for g, h in zip(self.projectors, self.encode(inputs), strict=True)]


class Compared(Projected):
    """Towers whose objective is one comparison of the two modalities' projections."""

    def __init__(self, d1: int, d2: int, hidden: int, width: int, compare: Comparison) -> None:
        super().__init__(d1, d2, hidden, width)
        self.compare = compare

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the comparison."""
        return self.compare(*self.project(views[0]))


@torch.no_grad()
def average(learnt: Mapping[str, Tensor], state: Mapping[str, Tensor], decay: float) -> None:
    """Move the averaged network `target` in place: `decay` of it stays, the rest is `learnt`."""
    for name, online in learnt.items():
        if (target := state.get(f"target.{name}")) is not None:
            target.lerp_(online, 1 - decay)


class Block(nn.Module):
    """A pre-norm transformer block (Vaswani et al. 2017; Xiong et al. 2020), FFN twice as wide.

    `width` of the tokens, a multiple of `heads`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"width: {width} is no multiple of heads: {heads}")
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self,
        tokens: Float[Tensor, "#sets obs length width"],
        hidden: Bool[Tensor, "sets length"],
        kept: int,
    ) -> Float[Tensor, "sets obs kept width"]:
        """Return the first `kept` tokens after attention to those that each set does not hide.

        The sets of one batch share what they have in common: before their first block that is
        everything, so `tokens` has one set or all of them.
        """
        normed = self.norms[0](tokens)
        query = self._split(self.query(normed[:, :, :kept]))
        key, value = (self._split(x) for x in self.key_value(normed).chunk(2, dim=3))
        scores = query @ key.transpose(3, 4) / key.shape[4] ** 0.5
        scores = scores.masked_fill(hidden[:, None, None, None], float("-inf"))
        attended = (scores.softmax(dim=4) @ value).transpose(2, 3).flatten(3)
        tokens = tokens[:, :, :kept] + self.out(attended)
        fed: Tensor = tokens + self.feedforward(self.norms[1](tokens))
        return fed

    def _split(
        self, x: Float[Tensor, "sets obs length width"]
    ) -> Float[Tensor, "sets obs heads length depth"]:
        sets, units, length, width = x.shape
        return x.view(sets, units, length, self.heads, width // self.heads).transpose(2, 3)


def full_precision(loss: Loss) -> Loss:
    """Let a loss compute in float32 or better, also where autocast halves the networks."""

    @functools.wraps(loss)
    def widened(first: Tensor, *others: Tensor | float, **settings: float) -> Tensor:
        with torch.autocast(first.device.type, enabled=False):
            return loss(*(_wide(x) for x in (first, *others)), **settings)

    return cast("Loss", widened)


def _wide(x: Tensor | float) -> Tensor | float:
    return x.to(torch.promote_types(x.dtype, torch.float32)) if isinstance(x, Tensor) else x


def off_diagonal(square: Float[Tensor, "n n"], fill: float) -> Float[Tensor, "n n"]:
    """Return a matrix with its diagonal replaced."""
    return square.masked_fill(torch.eye(len(square), dtype=torch.bool, device=square.device), fill)


@full_precision
def nt_xent(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], temperature: float
) -> Float[Tensor, ""]:
    """Return the normalised temperature-scaled cross entropy over 2N views.

    Each row of `z1` has its partner in `z2` as positive and all other 2N - 2 rows of both as
    negatives (Chen et al. 2020, equation 1). `log_softmax` subtracts the maximum, without which
    float32 overflows at T = 0.01.
    """
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    similarity = off_diagonal(z @ z.T / temperature, float("-inf"))
    partner = torch.arange(len(z), device=z.device).roll(len(z1))
    return torch.nn.functional.cross_entropy(similarity, partner)


@full_precision
def negative_cosine(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return minus the mean cosine of predictions `p` and their targets `z`, which do not learn."""
    return -torch.nn.functional.cosine_similarity(p, z.detach(), dim=1).mean()
