"""Everything that a run has to remember to continue as if it had not stopped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cell_synergy.core.resume.torch_states import restore_state, save_state
from cell_synergy.training.replicas import Stack

Curves = list[dict[str, list[float]]]
"""Per epoch and curve (`train`, `validation`), each job's loss."""


class Checkpoint:
    """The file that an interrupted run continues from."""

    def __init__(
        self,
        path: Path,
        stack: Stack,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        self.path, self.stack, self.optimiser, self.schedule = path, stack, optimiser, schedule

    def save(self, generators: Sequence[torch.Generator], curves: Curves) -> None:
        """Write the state of everything that changes."""
        save_state(self.path, self._content(generators, curves))

    def resume(self, generators: Sequence[torch.Generator]) -> Curves:
        """Restore that state; return the curves so far, empty without a checkpoint.

        One that cannot be taken up is set aside, and the run begins anew.
        """
        found = restore_state(
            self.path,
            lambda: self._content(generators, []),
            lambda content: self._restore(content, generators),
        )
        curves: Curves = found["curves"] if found else []
        return curves

    def _content(self, generators: Sequence[torch.Generator], curves: Curves) -> dict[str, Any]:
        return {
            "stack": self.stack.saved(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [generator.get_state() for generator in generators],
            "global": torch.get_rng_state(),
            "curves": curves,
        }

    def _restore(self, content: Mapping[str, Any], generators: Sequence[torch.Generator]) -> None:
        self.stack.restore(content["stack"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        for generator, state in zip(generators, content["generators"], strict=True):
            generator.set_state(state)
        torch.set_rng_state(content["global"])
        for losses in content["curves"]:
            if not {len(jobs) for jobs in losses.values()} <= {len(self.stack)}:
                raise ValueError("has curves of other jobs")
