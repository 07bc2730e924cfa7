"""Score one method on Trifeature: how much redundancy, uniqueness and synergy it preserves."""

import sys
from pathlib import Path
from typing import Any

from pydantic import Field

from cell_synergy import models
from cell_synergy.core.config import (
    Config,
    arguments,
    load,
    load_keys,
    merge,
    read_param,
    read_section,
)
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.overrides import pop_choice
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.trifeature.trifeature_scores import score_method
from cell_synergy.studies.trifeature.world import TrifeatureConfig


class Args(Config):
    """Output, and the method as `models.name`; params.yaml has its hyperparameters."""

    models: Any = Field(default_factory=dict)
    out: Path


def main(args: Args) -> None:
    """Draw, fit, score, write."""
    use_threads(read_param("threads"))
    name, overrides = pop_choice(args.models, "name", "models")
    if overrides:
        raise ConfigError(
            f"models.{next(iter(overrides))}: this stage reads the hyperparameters of a method "
            f"from trifeature.methods.{name} in params.yaml; change them there"
        )
    config, probe = load_keys(TrifeatureConfig, "trifeature"), load(ProbeConfig, "probe")
    method = models.load(name, read_section(f"trifeature.methods.{name}"))
    training = merge(read_section("training"), {"max_epochs": config.max_epochs})
    table = score_method(name, method, config, training, probe)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
