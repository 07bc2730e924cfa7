"""Everything that a run has to remember to continue as if it had not stopped."""

from collections.abc import Sequence
from pathlib import Path

import torch

from cell_synergy.core.atomic import atomic
from cell_synergy.learning.stack import Stack

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
        content = {
            "stack": self.stack.saved(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [generator.get_state() for generator in generators],
            "global": torch.get_rng_state(),
            "curves": curves,
        }
        with atomic(self.path) as new:
            torch.save(content, new)

    def resume(self, generators: Sequence[torch.Generator]) -> Curves:
        """Restore that state; return the curves so far, empty without a checkpoint."""
        if not self.path.is_file():
            return []
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        self.stack.restore(content["stack"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        for generator, state in zip(generators, content["generators"], strict=True):
            generator.set_state(state)
        torch.set_rng_state(content["global"])
        curves: Curves = content["curves"]
        return curves
