"""Score a method's grid of hyperparameters, with one budget for all, on donors that no score uses.

python -m benchmarks.tune models.name=comm grids=benchmarks/grids.yaml raw=data/raw \
    reference=data/reference labels=data/labels experts=data/experts seed=41 \
    out=benchmarks/tune/comm.csv

Every combination of the values in benchmarks/grids.yaml overrides the method's block of
params.yaml. Two kinds of scores of the linear probe, in macro F1 (classes) or Pearson correlation
(composition; R2 has no lower bound, and one bad donor of 80 observations would decide), are means
over tasks and donors:

- On the reference donors of each twin, which the study never scores, each left out in turn.
- On niches of a drawn twin (`cell_synergy.studies.drawn_twin`), since reference donors have no
  labels of niches: the donors of the stage `reach` (`reach.twin` in params.yaml), drawn with
  another seed than those of the study.

The best combination, by the mean over data sets and the drawn twin, is copied to params.yaml by
hand. Four minutes per method on one core.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from pydantic import Field

from cell_synergy import encoders, models
from cell_synergy.core.config import (
    Config,
    arguments,
    load,
    load_keys,
    merge,
    read_param,
    read_section,
    validate,
)
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import suggest
from cell_synergy.core.overrides import pop_choice
from cell_synergy.core.yaml import mapping_of
from cell_synergy.data.config import BenchmarkConfig, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.data.splits import Fold, folds
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders.pca import Expert
from cell_synergy.studies.config import DrawnTwinConfig
from cell_synergy.studies.drawn_twin import draw_twin, simulator_config
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext

TWINS = ("lung", "breast", "thymus")
NICHES = ("matched_niche", "mixed_niche")
# A fit has 240 to 270 steps, as in the study; reference donors have a fifth of its observations.
REFERENCE_TRAINING = {"batch_size": 64, "max_epochs": 85}

Tuned = tuple[PairedDataset, Mapping[str, Task], Mapping[str, object]]
"""A data set, its tasks, and the section `training` of fits on it."""


class Args(Config):
    """The method as `models.name`, its grid, folders that the study writes, and the output.

    Attributes
    ----------
    seed
        Seed of the drawn twin.
    """

    models: Any = Field(default_factory=dict)
    grids: Path
    raw: Path
    reference: Path
    labels: Path
    experts: Path
    seed: int
    out: Path


def reference(name: str, args: Args) -> Tuned:
    """Return the reference donors of a simulated data set, embedded, each left out in turn."""
    labels = args.labels / f"{name}-reference.h5ad"
    adata = read_pairs(args.reference / f"{name}.h5ad", labels)
    tasks = {
        task: kind
        for task, kind in read_section(f"data.{name}.tasks").items()
        if task not in adata.obs or adata.obs[task].notna().any()
    }
    values = {
        "split": "leave-one-donor-out",
        "roles": {"study": read_param(f"data.{name}.roles")["reference"]},
        "standardise": read_param(f"data.{name}.standardise"),
        "tasks": tasks,
    }
    dataset = validate(BenchmarkConfig, values, f"data.{name}")
    image, expression = (_embedded(name, kind, adata, args) for kind in ("image", "expression"))
    donor = adata.obs["donor"].astype(str).to_numpy()
    split = folds(adata.obs, dataset)
    paired = PairedDataset(adata, image, expression, donor, donor, split, dataset.standardise)
    return paired, dataset.tasks, merge(read_section("training"), REFERENCE_TRAINING)


def _embedded(
    name: str, kind: str, adata: ad.AnnData, args: Args
) -> Float32[np.ndarray, "obs dim"]:
    expert = read_section("experts")[kind]
    encoder = encoders.load(expert, read_section(f"encoders.{expert}"))
    return encoder.embed(adata, args.raw / name, args.experts / name / expert)


def drawn(args: Args) -> Tuned:
    """Return a drawn twin with its niches."""
    source = load(SimulatorSource, "data.lung.source")
    if source.seed == args.seed:
        raise ConfigError(f"seed={args.seed} is that of data.lung.source; take another")
    simulator = simulator_config(read_section("simulator"), source)
    simulator = simulator.model_copy(update={"seed": args.seed})
    config = validate(DrawnTwinConfig, read_section("reach.twin"), "reach.twin")
    twin = draw_twin(config, simulator, validate(Expert, read_section("encoders.pca"), "pca"))
    return twin.paired, {name: twin.tasks[name] for name in NICHES}, read_section("training")


def combinations(name: str, grids: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the values that a method's grid lists.

    Raises
    ------
    ConfigError
        If the method has no grid.
    """
    if name not in grids:
        raise ConfigError(f"grids.yaml: no {name!r}{suggest(name, grids)}; add the values to try")
    for chosen in product(*grids[name].values()):
        yield dict(zip(grids[name], chosen, strict=True))


def score(name: str, method: Method, tuned: Tuned, probe: ProbeConfig) -> float:
    """Return the mean score over tasks, folds and donors.

    Parameters
    ----------
    name
        Title of the fit, for progress bars and messages.
    method
        The method with one combination of values.
    tuned
        Data set, its tasks, and settings of the training.
    probe
        Configuration of the probes.
    """
    paired, tasks, training = tuned
    axes = method.input_axes(load_keys(InputConfig, "align").axes)
    inputs = {fold.name: paired.inputs(fold, axes) for fold in paired.folds}
    specs = []
    for fold in paired.folds:
        image, expression = (x[fold.align] for x in inputs[fold.name])
        rows = Pairs(image, expression, paired.donor[fold.align])
        specs.append(FitSpec(f"{fold.name}-0", rows, rows, 0))
    with TemporaryDirectory() as folder:
        run = RunContext(training, lambda *_: None, Path(folder, "checkpoint"), name)
        fitted = method.fit(specs, run)
    weights = {spec.name: of_fold for spec, of_fold in zip(specs, fitted, strict=True)}

    def represent(fold: Fold, seed: int) -> Float32[np.ndarray, "obs d"]:
        return method.transform(weights[f"{fold.name}-{seed}"], *inputs[fold.name])

    scores = evaluate(name, paired, tasks, [0], represent, probe).scores
    scores = scores[scores["probe"].str.startswith("linear")]
    scores = scores[scores["metric"].isin(["macro_f1", "pearson"])]
    return float(scores.groupby("task")["value"].mean().mean())


def main(args: Args) -> None:
    """Embed, fit, score, print, write."""
    use_threads(read_param("threads"))
    probe = load(ProbeConfig, "probe")
    name, overrides = pop_choice(args.models, "name", "models")
    if overrides:
        raise ConfigError(f"models.{next(iter(overrides))}: the grid has the values; leave it out")
    grid = list(combinations(name, mapping_of(args.grids)["grids"]))
    sets = {twin: reference(twin, args) for twin in TWINS} | {"niches": drawn(args)}
    rows = []
    for chosen in grid:
        method = models.load(name, merge(read_section(f"models.{name}"), chosen))
        values = {
            title: score(f"{title} {name} {chosen}", method, tuned, probe)
            for title, tuned in sets.items()
        }
        mean = float(np.mean(list(values.values())))
        rows.append({"method": name, "values": json.dumps(chosen), **values, "mean": mean})
        print(name, chosen, f"{mean:.4f}", flush=True)
    table = pd.DataFrame(rows).sort_values("mean", ascending=False, kind="stable")
    table["best"] = table["mean"] == table["mean"].max()
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
