"""Checkpoint of a training run, from which it resumes bit for bit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cell_synergy.core.resume.torch_states import restore_state, save_state
from cell_synergy.training.replicas import Replicas

Curves = list[dict[str, list[float]]]
"""One entry per epoch: for each curve (`train`, `validation`) the loss of every fit."""


class Checkpoint:
    """The file from which an interrupted training run resumes.

    Parameters
    ----------
    path
        The file.
    replicas
        Networks of all fits; their parameters and buffers are saved and restored in place.
    optimiser
        Optimiser of the parameters.
    schedule
        Learning rate schedule of the optimiser.
    """

    def __init__(
        self,
        path: Path,
        replicas: Replicas,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        self.path, self.replicas = path, replicas
        self.optimiser, self.schedule = optimiser, schedule

    def save(self, generators: Sequence[torch.Generator], curves: Curves) -> None:
        """Write the state of replicas, optimiser, schedule and generators, and the curves.

        Parameters
        ----------
        generators
            Random generators of the run; torch's global generator is saved as well.
        curves
            Losses of all completed epochs.
        """
        save_state(self.path, self._content(generators, curves))

    def resume(self, generators: Sequence[torch.Generator]) -> Curves:
        """Restore the saved state of replicas, optimiser, schedule and generators, in place.

        A checkpoint that cannot be restored is renamed and changes nothing.

        Returns
        -------
        The losses of all completed epochs; empty if nothing was restored.
        """
        content = restore_state(
            self.path,
            lambda: self._content(generators, []),
            lambda content: self._restore(content, generators),
        )
        curves: Curves = content["curves"] if content else []
        return curves

    def _content(self, generators: Sequence[torch.Generator], curves: Curves) -> dict[str, Any]:
        return {
            "replicas": self.replicas.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [generator.get_state() for generator in generators],
            "global_generator": torch.get_rng_state(),
            "curves": curves,
        }

    def _restore(self, content: Mapping[str, Any], generators: Sequence[torch.Generator]) -> None:
        self.replicas.load_state_dict(content["replicas"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        for generator, state in zip(generators, content["generators"], strict=True):
            generator.set_state(state)
        torch.set_rng_state(content["global_generator"])
        for curves in content["curves"]:
            if not {len(losses) for losses in curves.values()} <= {len(self.replicas)}:
                raise ValueError("has curves of other fits")
