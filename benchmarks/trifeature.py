"""Score one method on Trifeature with several seeds: the study's stage `trifeature` at full size.

python -m benchmarks.trifeature models.name=comm seeds=3 out=benchmarks/trifeature/comm.csv

Balanced accuracy of linear and nonlinear probes; chance is .1, .1, .1 and .5. All other parameters
are those of `trifeature` in params.yaml, and hyperparameters those of `models`. About 20 s per
trained method and seed on one core.
"""

import sys
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

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
    """Output, number of seeds, and the method as `models.name`."""

    models: Any = Field(default_factory=dict)
    seeds: PositiveInt
    out: Path


def main(args: Args) -> None:
    """Draw, fit, score, write."""
    use_threads(read_param("threads"))
    name, overrides = pop_choice(args.models, "name", "models")
    if overrides:
        raise ConfigError(
            f"models.{next(iter(overrides))}: hyperparameters are read from params.yaml; change "
            "them there"
        )
    config = load_keys(TrifeatureConfig, "trifeature", {"seeds": args.seeds})
    block = read_section(f"models.{name}")
    training = merge(read_section("training"), {"max_epochs": config.max_epochs})
    method, probe = models.load(name, block), load(ProbeConfig, "probe")
    table = score_method(name, method, config, training, probe)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
