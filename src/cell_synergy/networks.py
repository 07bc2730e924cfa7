"""Building blocks that two methods share."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cell_synergy.errors import ConfigError


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return one hidden layer with batch norm and ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


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
        self, tokens: Float[Tensor, "units length width"], kept: int
    ) -> Float[Tensor, "units kept width"]:
        """Return the first `kept` tokens after attention to all; the others are not computed."""
        normed = self.norms[0](tokens)
        query = self._split(self.query(normed[:, :kept]))
        key, value = (self._split(x) for x in self.key_value(normed).chunk(2, dim=2))
        weights = (query @ key.transpose(2, 3) / key.shape[3] ** 0.5).softmax(dim=3)
        attended = (weights @ value).transpose(1, 2).flatten(2)
        tokens = tokens[:, :kept] + self.out(attended)
        fed: Tensor = tokens + self.feedforward(self.norms[1](tokens))
        return fed

    def _split(
        self, x: Float[Tensor, "units length width"]
    ) -> Float[Tensor, "units heads length depth"]:
        units, length, width = x.shape
        return x.view(units, length, self.heads, width // self.heads).transpose(1, 2)


def nt_xent(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], temperature: float
) -> Float[Tensor, ""]:
    """Return the normalised temperature-scaled cross entropy over 2N views.

    Each row of `z1` has its partner in `z2` as positive and all other 2N - 2 rows of both as
    negatives (Chen et al. 2020, equation 1). `log_softmax` subtracts the maximum, without which
    float32 overflows at T = 0.01.
    """
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(
        torch.eye(len(z), dtype=torch.bool, device=z.device), float("-inf")
    )
    partner = torch.arange(len(z), device=z.device).roll(len(z1))
    return torch.nn.functional.cross_entropy(similarity, partner)
