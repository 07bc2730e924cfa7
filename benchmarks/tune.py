"""Tune every method once, with the same budget, on reference donors of the simulated data sets.

python benchmarks/tune.py [METHOD ...]

Tries every combination of the values that benchmarks/grids.yaml lists for a method, as overrides of
the method's block. Each reference donor is left out in turn; the score is the mean over data sets,
tasks and donors of the linear probe's macro F1 (classes) or Pearson correlation (composition; R2
has no lower bound, and one bad donor of 80 observations would decide). The study never scores these
donors. Needs raw files, reference observations, their labels and experts of the simulated data sets
(`dvc pull`); writes benchmarks/tuning.csv. The best combination is copied to params.yaml by hand.
"""

import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32

from cell_synergy import encoders, models
from cell_synergy.core.config import load, merge, read_param, read_section, validate
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.messages import suggest
from cell_synergy.core.yaml import mapping_of
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.data.splits import Fold, folds
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext

GRIDS, OUT = Path("benchmarks/grids.yaml"), Path("benchmarks/tuning.csv")
TWINS = ("lung", "breast", "thymus")
# A fit has 240 to 270 steps, as in the study; reference donors have a fifth of its observations.
CHANGED = {"batch_size": 64, "max_epochs": 85}


def reference(name: str) -> tuple[PairedDataset, DatasetConfig]:
    """Return the reference donors of a simulated data set, embedded, each left out in turn."""
    data = read_section(f"data.{name}")
    labels = Path(f"data/labels/{name}-reference.h5ad")
    adata = read_pairs(Path(f"data/reference/{name}.h5ad"), labels)
    tasks = {
        k: v for k, v in data["tasks"].items() if k not in adata.obs or adata.obs[k].notna().any()
    }
    study = {
        "source": "manifest",
        "split": "leave-one-donor-out",
        "roles": {"study": data["roles"]["reference"]},
        "tasks": tasks,
    }
    rest = {key: data[key] for key in ("reader", "unit_um", "standardise")}
    dataset = validate(DatasetConfig, rest | study, f"data.{name}")
    image, expression = (_embedded(name, kind, adata) for kind in ("image", "expression"))
    donor = adata.obs["donor"].astype(str).to_numpy()
    split = folds(adata.obs, dataset)
    return PairedDataset(
        adata, image, expression, donor, donor, split, dataset.standardise
    ), dataset


def _embedded(name: str, kind: str, adata: ad.AnnData) -> Float32[np.ndarray, "obs dim"]:
    expert = read_section("experts")[kind]
    encoder = encoders.load(expert, read_section(f"encoders.{expert}"))
    return encoder.embed(adata, Path(f"data/raw/{name}"), Path(f"data/experts/{name}/{expert}"))


def combinations(name: str) -> Iterator[dict[str, Any]]:
    """Yield every combination of the values that a method's grid lists."""
    grid = mapping_of(GRIDS)[name]
    for chosen in product(*grid.values()):
        yield dict(zip(grid, chosen, strict=True))


def score(
    name: str, method: Method, paired: PairedDataset, dataset: DatasetConfig, probe: ProbeConfig
) -> float:
    """Return the mean score over tasks and left-out donors.

    Parameters
    ----------
    name
        Title of the fit, for progress bars and messages.
    method
        The method with one combination of values.
    paired, dataset
        Reference donors of a data set, and their configuration.
    probe
        Configuration of the probes.
    """
    standardised = {fold.name: paired.standardised(fold) for fold in paired.folds}
    specs = []
    for fold in paired.folds:
        image, expression = (x[fold.align] for x in standardised[fold.name])
        rows = Pairs(image, expression, paired.donor[fold.align])
        specs.append(FitSpec(f"{fold.name}-0", rows, rows, 0))
    with TemporaryDirectory() as folder:
        training = merge(read_section("training"), CHANGED)
        run = RunContext(training, lambda *_: None, Path(folder, "checkpoint"), name)
        fitted = method.fit(specs, run)
    weights = {spec.name: of_fold for spec, of_fold in zip(specs, fitted, strict=True)}

    def represent(fold: Fold, seed: int) -> Float32[np.ndarray, "obs d"]:
        return method.transform(weights[f"{fold.name}-{seed}"], *standardised[fold.name])

    scores = evaluate(name, paired, dataset.tasks, [0], represent, probe).scores
    scores = scores[scores["probe"].str.startswith("linear")]
    scores = scores[scores["metric"].isin(["macro_f1", "pearson"])]
    return float(scores.groupby("task")["value"].mean().mean())


def main(names: list[str]) -> None:
    """Tune the named methods, or all that have a grid."""
    use_threads(read_param("threads"))
    probe = load(ProbeConfig, "probe")
    grids = mapping_of(GRIDS)
    for name in names:
        if name not in grids:
            raise ConfigError(f"{GRIDS}: no {name!r}{suggest(name, grids)}; add the values to try")
    twins = {name: reference(name) for name in TWINS}
    for name in names or list(grids):
        rows = []
        for chosen in combinations(name):
            method = models.load(name, merge(read_section(f"models.{name}"), chosen))
            row: dict[str, Any] = {"method": name, "values": json.dumps(chosen)}
            row |= {
                twin: score(f"{twin} {name} {chosen}", method, *of_twin, probe)
                for twin, of_twin in twins.items()
            }
            row["mean"] = float(np.mean([row[twin] for twin in TWINS]))
            rows.append(row)
            print(name, chosen, f"{row['mean']:.4f}", flush=True)
        _write(name, pd.DataFrame(rows))


def _write(name: str, rows: pd.DataFrame) -> None:
    rows["best"] = rows["mean"] == rows["mean"].max()
    if OUT.is_file():
        table = pd.read_csv(OUT)
        rows = pd.concat([table[table["method"] != name], rows])
    rows.sort_values(["method", "mean"], ascending=[True, False]).to_csv(
        OUT, index=False, float_format="%.4f"
    )


if __name__ == "__main__":
    with report_errors(__doc__):
        main(sys.argv[1:])
