"""Replicas of one network, one per fold and seed, computed as a single batched model.

On a GPU the time of such small networks is mostly that of launching operations, so that a batched
operation should take little longer than that of one replica; this has not been measured yet. On a
CPU batching gains nothing: the time of an epoch per replica, relative to a plain DataLoader loop,
is 0.76 with 21 replicas and 0.77 with one (`benchmarks/epoch.py`).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from cell_synergy.core.errors import ConfigError
from cell_synergy.training.modules import Inputs, Network

_FitInputs = tuple[Float[Tensor, "_ d1"], Float[Tensor, "_ d2"]]
"""Image and expression embeddings of one fit; numbers of observations differ between fits."""


class Replicas:
    """Replicas of one network whose tensors are stacked along a first axis.

    Parameters
    ----------
    networks
        One initialised network per replica, all of one architecture.

    Attributes
    ----------
    network
        The first network, through which all replicas are computed.
    params
        Parameters that the optimiser changes, by name, each of shape (replicas, ...).
    buffers
        All other tensors, by name, each of shape (replicas, ...): statistics of batch norm, and
        parameters of averaged networks.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.network = networks[0]
        self.params: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        trainable = {name for name, p in self.network.named_parameters() if p.requires_grad}
        state_dicts = [network.state_dict() for network in networks]
        for name in state_dicts[0]:
            stacked = torch.stack([state_dict[name].detach() for state_dict in state_dicts])
            if name in trainable:
                self.params[name] = stacked.requires_grad_()
            else:
                self.buffers[name] = stacked

    def __len__(self) -> int:
        return len(next(iter(self.params.values())))

    def losses(self, views: Sequence[Inputs], *, training: bool) -> Float[Tensor, " replicas"]:
        """Return the loss of each replica on its own batch.

        Parameters
        ----------
        views
            Augmented views of the batches, `n_views` of the network: each an image tensor of shape
            (replicas, observations, d1) and an expression tensor (replicas, observations, d2).
        training
            Whether the network is in training mode; if not, it is in evaluation mode.

        Raises
        ------
        ConfigError
            If the loss of the network is not one number.
        """
        self.network.train(training)

        def loss(
            params: dict[str, Tensor], buffers: dict[str, Tensor], views: Sequence[Inputs]
        ) -> Float[Tensor, ""]:
            value = functional_call(self.network, {**params, **buffers}, (views,))
            return _scalar(value, type(self.network).__name__)

        if len(self) == 1:  # saves the overhead of vmap
            params, buffers = (
                {k: v.squeeze(0) for k, v in d.items()} for d in (self.params, self.buffers)
            )
            return loss(
                params, buffers, [(x1.squeeze(0), x2.squeeze(0)) for x1, x2 in views]
            ).unsqueeze(0)
        losses: Tensor = torch.vmap(loss, randomness="different")(
            self.params, self.buffers, tuple(views)
        )
        return losses

    def state_dict(self) -> dict[str, Tensor]:
        """Return all tensors by name, each of shape (replicas, ...), without a copy."""
        return {name: value.detach() for name, value in {**self.params, **self.buffers}.items()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Copy tensors, as `state_dict` returns them, into those of the replicas."""
        with torch.no_grad():
            for name, value in state_dict.items():
                (self.params if name in self.params else self.buffers)[name].copy_(value)

    def unstacked(self) -> list[dict[str, Tensor]]:
        """Return the state dict of each replica, in the order of the networks."""
        state_dict = self.state_dict()
        return [{k: v[index] for k, v in state_dict.items()} for index in range(len(self))]


class DeviceBatches:
    """The observations of every fit on the device, and the batches of each epoch.

    Parameters
    ----------
    inputs
        Image and expression embeddings of each fit. Fits of the same two arrays, such as the seeds
        of a fold, share their memory.
    device
        Device of the embeddings.

    Attributes
    ----------
    n_obs
        Number of observations of each fit.
    """

    def __init__(self, inputs: Sequence[_FitInputs], device: torch.device) -> None:
        keys = [(image.data_ptr(), expression.data_ptr()) for image, expression in inputs]
        unique = dict(zip(keys, inputs, strict=True))
        starts, total = {}, 0
        for key, pair in unique.items():
            starts[key] = total
            total += len(pair[0])
        self.n_obs = [len(pair[0]) for pair in inputs]
        offsets = [starts[key] for key in keys]
        self._offsets = torch.tensor(offsets, device=device)[:, None]
        modalities = zip(*unique.values(), strict=True)
        self._embeddings = tuple(_concatenate(parts).to(device) for parts in modalities)

    def gather(self, index: Int[Tensor, "fits batch"]) -> Inputs:
        """Return the embeddings of a batch of each fit, each of shape (fits, batch, features).

        `index` has row indices into the observations of each fit.
        """
        flat = (index.to(self._offsets.device) + self._offsets).flatten()
        image, expression = (
            x.index_select(0, flat).view(*index.shape, -1) for x in self._embeddings
        )
        return image, expression

    def epoch(
        self, steps: int, batch_size: int, generators: Sequence[torch.Generator]
    ) -> Int[Tensor, "steps fits batch"]:
        """Return the row indices of each step and fit of one epoch, drawn without replacement.

        The rows of a fit are permuted and cut into whole batches; when these run out before the
        last step, the rows are permuted again.

        Parameters
        ----------
        steps
            Number of steps, equal for all fits.
        batch_size
            Number of observations of each fit in a step, at most `min(n_obs)`.
        generators
            One random generator per fit, on the CPU.
        """
        batches = []
        for n_obs, generator in zip(self.n_obs, generators, strict=True):
            whole_batches = n_obs // batch_size
            permutations = [
                torch.randperm(n_obs, generator=generator)[: whole_batches * batch_size]
                for _ in range(-(-steps // whole_batches))
            ]
            batches.append(torch.cat(permutations).view(-1, batch_size)[:steps])
        return torch.stack(batches, dim=1)


def _concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate rows; a single part is not copied, since it may take most of the memory."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _scalar(value: object, network: str) -> Tensor:
    """Return the value of a network's loss; refuse anything but a tensor without axes.

    Parameters
    ----------
    value
        Value that the method `loss` returned.
    network
        Name of the network's class, for the error message.
    """
    if isinstance(value, Tensor) and value.ndim == 0:
        return value
    returned = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else value
    raise ConfigError(
        f"{network}.loss returns {returned}, not one number; return, for example, the mean over "
        "the observations"
    )
