"""Copies of one network, one per fold and seed, computed as a single batched model.

The small networks of this study are limited by the cost of launching operations on a GPU, not by
arithmetic: one batched operation for all copies costs about as much as one for a single copy.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from cell_synergy.training.modules import Inputs, Network

Unequal = tuple[Float[Tensor, "_ d1"], Float[Tensor, "_ d2"]]
"""Embeddings of one job, which may have more rows than another."""


class Stack:
    """Copies of one network with their parameters stacked along a first axis.

    Attributes
    ----------
    learnt
        Parameters that the optimiser changes, by name: (copies, ...).
    state
        All others: statistics of batch norm, averaged networks.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.network = networks[0]
        self.learnt: dict[str, Tensor] = {}
        self.state: dict[str, Tensor] = {}
        learnt = {name for name, p in self.network.named_parameters() if p.requires_grad}
        copies = [network.state_dict() for network in networks]
        for name in copies[0]:
            stacked = torch.stack([copy[name].detach() for copy in copies])
            place = self.learnt if name in learnt else self.state
            place[name] = stacked.requires_grad_(name in learnt)

    def __len__(self) -> int:
        return len(next(iter(self.learnt.values())))

    def losses(self, views: Sequence[Inputs], *, training: bool) -> Float[Tensor, " copies"]:
        """Return each copy's loss on its own views: (copies, units, d1) and (copies, units, d2)."""
        self.network.train(training)

        def loss(
            learnt: dict[str, Tensor], state: dict[str, Tensor], views: Sequence[Inputs]
        ) -> Float[Tensor, ""]:
            found: Tensor = functional_call(self.network, {**learnt, **state}, (views,))
            return found

        if len(self) == 1:  # vmap would only add its own cost
            learnt, state = (
                {k: v.squeeze(0) for k, v in d.items()} for d in (self.learnt, self.state)
            )
            one = loss(learnt, state, [(x1.squeeze(0), x2.squeeze(0)) for x1, x2 in views])
            return one.unsqueeze(0)
        found: Tensor = torch.vmap(loss, randomness="different")(
            self.learnt, self.state, tuple(views)
        )
        return found

    def copies(self) -> list[dict[str, Tensor]]:
        """Return each copy's state, by name."""
        whole = {**self.learnt, **self.state}
        return [{k: v[number].detach() for k, v in whole.items()} for number in range(len(self))]

    def restore(self, stacked: dict[str, Tensor]) -> None:
        """Set parameters and state to what `saved` returned."""
        with torch.no_grad():
            for name, value in stacked.items():
                (self.learnt if name in self.learnt else self.state)[name].copy_(value)

    def saved(self) -> dict[str, Tensor]:
        """Return parameters and state, stacked."""
        return {name: value.detach() for name, value in {**self.learnt, **self.state}.items()}


class Rows:
    """The rows of every job on the device, and each epoch's batches of them.

    Every job takes the same number of steps per epoch, that of the largest fold; a smaller fold
    starts a fresh permutation when it runs out of whole batches.
    """

    def __init__(self, inputs: Sequence[Unequal], place: torch.device) -> None:
        unique = {pair[0].data_ptr(): pair for pair in inputs}
        starts, total = {}, 0
        for key, pair in unique.items():
            starts[key] = total
            total += len(pair[0])
        self.sizes = [len(pair[0]) for pair in inputs]
        offsets = [starts[pair[0].data_ptr()] for pair in inputs]
        self.offsets = torch.tensor(offsets, device=place)[:, None]
        sides = zip(*unique.values(), strict=True)
        self.flat = tuple(_joined(side).to(place) for side in sides)

    def take(self, rows: Int[Tensor, "jobs obs"]) -> Inputs:
        """Return the embeddings of the given rows of each job."""
        places = (rows.to(self.offsets.device) + self.offsets).flatten()
        image, expression = (x.index_select(0, places).view(*rows.shape, -1) for x in self.flat)
        return image, expression

    def epoch(
        self, steps: int, batch: int, generators: Sequence[torch.Generator]
    ) -> Int[Tensor, "steps jobs batch"]:
        """Return the rows of each step of one epoch, drawn with each job's generator."""
        drawn = []
        for size, generator in zip(self.sizes, generators, strict=True):
            whole = size // batch
            rounds = [
                torch.randperm(size, generator=generator)[: whole * batch]
                for _ in range(-(-steps // whole))
            ]
            drawn.append(torch.cat(rounds).view(-1, batch)[:steps])
        return torch.stack(drawn, dim=1)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate rows; a lone part, which can be most of the memory, is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
