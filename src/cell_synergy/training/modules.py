"""The contract of a trained network, and the networks that several methods share.

The names of submodules are part of the names of tensors in saved weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cell_synergy.core.errors import ConfigError

Inputs = tuple[Float[Tensor, "*fits obs d1"], Float[Tensor, "*fits obs d2"]]
"""Image and expression embeddings of a batch; row i of both is one observation.

A first axis `fits` is there only where all fits are computed together.
"""

PairLoss = Callable[[Float[Tensor, "n d"], Float[Tensor, "n d"]], Float[Tensor, ""]]
"""A loss of two batches (observations x features), row i of both being one observation."""


class Network(nn.Module, ABC):
    """A network with its objective, written for one fit; `Replicas` computes all fits together.

    `Replicas` applies `torch.vmap`, so that no branch may depend on the values of tensors.
    Submodules called `projectors`, `predictors` and `target` are not saved, and `joint` must not
    use them.

    Attributes
    ----------
    n_views
        Number of augmented views of a batch that `loss` takes.
    """

    n_views: ClassVar[int] = 1
    _training_only = ("projectors.", "predictors.", "target.")

    @abstractmethod
    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the objective, one number, on `n_views` augmented views of one batch of pairs."""

    @abstractmethod
    def joint(self, inputs: Inputs) -> Float[Tensor, "obs d3"]:
        """Return the joint embedding `z3` of a batch, one row per observation."""

    def forward(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the loss; `functional_call` needs it as `forward`."""
        return self.loss(views)

    def after_step(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], progress: float
    ) -> None:
        """Update buffers in place after an optimiser step; the default does nothing.

        Parameters
        ----------
        params
            Parameters that the optimiser changes, by name, each of shape (replicas, ...).
        buffers
            All other tensors of the network, by name, each of shape (replicas, ...): statistics of
            batch norm, and parameters of averaged networks.
        progress
            Number of completed steps divided by the total number of steps.
        """

    def inference_state(self, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that `joint` uses, by name.

        Projectors, predictors and target networks are left out.
        """
        return {k: v for k, v in state_dict.items() if not k.startswith(self._training_only)}


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return a multilayer perceptron of one hidden layer with batch norm and ReLU.

    Parameters
    ----------
    inputs, hidden, outputs
        Numbers of input features, hidden units and outputs.
    """
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        _BatchNorm(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


class _BatchNorm(nn.BatchNorm1d):
    """Batch norm in the precision of its parameters, since `vmap` cannot mix two precisions."""

    def forward(self, x: Float[Tensor, "obs d"]) -> Float[Tensor, "obs d"]:
        return super().forward(x.to(self.weight.dtype))


class TwoTower(Network):
    """One encoder per modality; `z3` is the concatenation of their outputs.

    Parameters
    ----------
    d1, d2
        Numbers of features of image and expression.
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of `z3`, an even number; each encoder has `width // 2` outputs.
    """

    def __init__(self, d1: int, d2: int, hidden: int, width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([mlp(d, hidden, width // 2) for d in (d1, d2)])

    def encode(self, inputs: Inputs) -> list[Float[Tensor, "obs half"]]:
        """Return the encoder outputs of image and expression, observations x `width // 2` each."""
        return [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]

    def joint(self, inputs: Inputs) -> Float[Tensor, "obs width"]:
        """Return the joint embedding `z3`."""
        return torch.cat(self.encode(inputs), dim=1)


class TwoTowerProjector(TwoTower):
    """Two towers, each with a projector that only the objective uses (Chen et al. 2020).

    Parameters
    ----------
    d1, d2
        Numbers of features of image and expression.
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, an even number; a projector has `width // 2` inputs,
        hidden units and outputs.
    """

    def __init__(self, d1: int, d2: int, hidden: int, width: int) -> None:
        super().__init__(d1, d2, hidden, width)
        half = width // 2
        self.projectors = nn.ModuleList([mlp(half, half, half) for _ in range(2)])

    def project(self, inputs: Inputs) -> list[Float[Tensor, "obs half"]]:
        """Return the projector outputs of image and expression: observations x `width // 2`."""
        encodings = self.encode(inputs)
        return [projector(h) for projector, h in zip(self.projectors, encodings, strict=True)]


class TwoTowerContrastive(TwoTowerProjector):
    """Two towers with projectors whose objective is a loss of the paired projections.

    Parameters
    ----------
    d1, d2
        Numbers of features of image and expression.
    hidden, width
        Number of hidden units of each encoder, and dimension of the joint embedding, an even
        number.
    pair_loss
        Loss of the image projections and the expression projections of a batch.
    """

    def __init__(self, d1: int, d2: int, hidden: int, width: int, pair_loss: PairLoss) -> None:
        super().__init__(d1, d2, hidden, width)
        self.pair_loss = pair_loss

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the loss of the projections of the first view of a batch."""
        return self.pair_loss(*self.project(views[0]))


@torch.no_grad()
def update_target(
    params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], decay: float
) -> None:
    """Update the target network, an exponential moving average of the trained parameters, in place.

    Each of its tensors becomes `decay` times itself plus `1 - decay` times the trained parameter.

    Parameters
    ----------
    params
        Trained parameters of the network, by name.
    buffers
        All other tensors, by name; the average of parameter `NAME` is `target.NAME`. Parameters
        without such an average are skipped.
    decay
        Weight of the previous value, 0 to 1.
    """
    for name, online in params.items():
        if (target := buffers.get(f"target.{name}")) is not None:
            target.lerp_(online, 1 - decay)


class TransformerBlock(nn.Module):
    """A pre-norm transformer block (Vaswani et al. 2017; Xiong et al. 2020).

    The hidden layer of its feed-forward network is twice as wide as a token.

    Parameters
    ----------
    width
        Number of features of a token, a multiple of `heads`.
    heads
        Number of attention heads.

    Raises
    ------
    ConfigError
        If `width` is no multiple of `heads`.
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
        tokens: Float[Tensor, "#masks obs length width"],
        hidden: Bool[Tensor, "masks length"],
        n_outputs: int,
    ) -> Float[Tensor, "masks obs n_outputs width"]:
        """Return the first `n_outputs` tokens of each observation after the block, under each mask.

        Parameters
        ----------
        tokens
            Input tokens: one set per mask, or one set for all masks, as before the first block.
        hidden
            Masks: true for tokens that no token attends to, in all observations.
        n_outputs
            Number of leading tokens whose outputs are computed.
        """
        normed = self.norms[0](tokens)
        query = self._split_heads(self.query(normed[:, :, :n_outputs]))
        key, value = (self._split_heads(x) for x in self.key_value(normed).chunk(2, dim=3))
        scores = query @ key.transpose(3, 4) / key.shape[4] ** 0.5
        scores = scores.masked_fill(hidden[:, None, None, None], float("-inf"))
        attended = (scores.softmax(dim=4) @ value).transpose(2, 3).flatten(3)
        residual = tokens[:, :, :n_outputs] + self.out(attended)
        outputs: Tensor = residual + self.feedforward(self.norms[1](residual))
        return outputs

    def _split_heads(
        self, x: Float[Tensor, "masks obs length width"]
    ) -> Float[Tensor, "masks obs heads length depth"]:
        """Split the features of each token into those of the attention heads."""
        masks, n_obs, length, width = x.shape
        return x.view(masks, n_obs, length, self.heads, width // self.heads).transpose(2, 3)
