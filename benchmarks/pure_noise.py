"""Two experts of pure noise: how many data sets show a star or a ratio, by probe and metric.

python -m benchmarks.pure_noise library=1000 command=50 out=benchmarks/pure_noise.csv

Labels of two classes, compositions, both experts' embeddings and six fused ones are independent
noise, as are donors; each donor is held out in turn. Data sets of each size (`SIZES`) are scored in
the library by linear probes, and by `run_benchmarks units=...`, with linear and nonlinear probes.
A row gives the share of data sets with any star (a corrected p value below .05), the upper limit of
its 95 % Clopper-Pearson interval, the number of data sets with a ratio, and the largest gain. Gains
are tested in bits (of labels) and in R2; for other metrics `used` is "not used", and stars are
those that the same test would have given.

`library` and `command` are the numbers of data sets of each way, in equal numbers of each size.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pandas as pd
from pydantic import PositiveInt
from scipy.stats import beta

from cell_synergy.core.config import Config, arguments, load
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import DONOR, LINEAR, VERDICT_METRICS
from cell_synergy.core.random import stream
from cell_synergy.data.classes import ClassRule
from cell_synergy.data.config import ClassificationTask, CompositionTask, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.evaluate import (
    FoldEvaluator,
    Representation,
    score_table,
    standardised_blocks,
)
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import task_targets
from cell_synergy.downstream.user_table import UserTableConfig, paired_dataset, representations
from cell_synergy.scoring.tables import ALL_FOLDS, METRICS, SIGNIFICANCE, sis_table

JOINT, TYPES = 6, 3
RULE = ClassRule(class_units=10, class_donors=2)
TASKS: dict[str, Task] = {
    "y": ClassificationTask(kind="classification"),
    "composition": CompositionTask(kind="composition"),
}


class Args(Config):
    """Numbers of data sets, scored in the library and by the command, and the output."""

    library: PositiveInt
    command: PositiveInt
    out: Path


@dataclass(frozen=True)
class Size:
    """Donors, observations per donor, features of an expert and of a fused embedding."""

    donors: int
    units: int
    expert: int
    joint: int


SIZES = {
    "wider fusion": Size(8, 120, 16, 64),
    "narrower fusion": Size(8, 120, 64, 4),
    "equal widths": Size(8, 120, 16, 16),
    "few donors": Size(5, 60, 16, 32),
    "small donors": Size(12, 25, 8, 16),
}


def noise(size: Size, seed: int) -> ad.AnnData:
    """Return a table of noise: label `y`, `donor`, and embeddings `image, expr, j0, j1, ...`."""
    rng = stream(seed, "pure noise", *map(str, vars(size).values()))
    count = size.donors * size.units
    donor = np.repeat([f"d{number:02}" for number in range(size.donors)], size.units)
    obs = pd.DataFrame({"donor": donor, "y": np.where(rng.random(count) < 0.5, "a", "b")})  # noqa: PLR2004 - even odds
    obs.index = pd.Index([f"u{number}" for number in range(count)])
    adata = ad.AnnData(np.zeros((count, 1), dtype=np.float32), obs=obs)
    for key in ("image", "expr"):
        adata.obsm[key] = rng.standard_normal((count, size.expert)).astype(np.float32)
    for number in range(JOINT):
        joint = rng.standard_normal((count, size.joint))
        adata.obsm[f"j{number}"] = joint.astype(np.float32)
    return adata


def user_config(units: Path) -> UserTableConfig:
    """Return the arguments of `run_benchmarks units=...`."""
    joint = tuple(f"j{number}" for number in range(JOINT))
    return UserTableConfig(
        units=units, image="image", expression="expr", joint=joint, label=("y",), donor="donor"
    )


def library_scores(size: Size, seed: int, probe: ProbeConfig) -> pd.DataFrame:
    """Return the scores of linear probes on labels and compositions of noise."""
    adata, config = noise(size, seed), user_config(Path("noise.h5ad"))
    paired = paired_dataset(config, adata, RULE)
    shares = stream(seed, "pure noise compositions").dirichlet(np.ones(TYPES), adata.n_obs)
    paired.adata.obsm["cell_type_ratio"] = pd.DataFrame(shares, index=adata.obs_names)
    named = representations(config, adata, paired)
    return pd.concat(_linear_scores(name, paired, named[name], probe) for name in named)


def _linear_scores(
    name: str, paired: PairedDataset, represent: Representation, probe: ProbeConfig
) -> pd.DataFrame:
    """Return the scores of one representation, as `evaluate` does with linear probes alone."""
    rows: list[dict[str, object]] = []
    targets = task_targets(paired, TASKS)
    for fold in paired.folds:
        blocks = standardised_blocks(name, represent(fold, 0), paired, fold, 0)
        evaluator = FoldEvaluator(paired, targets, fold, probe)
        predictions = {LINEAR: evaluator.linear(blocks, {}, donor=False)}
        rows += [row | {"seed": 0} for row in evaluator.scores(predictions)]
    return score_table(name, paired, rows)


def command_tables(size: Size, seed: int, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the SIS table and the scores that the command writes."""
    units, out = folder / "noise.h5ad", folder / "sis.csv"
    noise(size, seed).write_h5ad(units)
    config = user_config(units)
    words = [f"image={config.image}", f"expression={config.expression}"]
    words += [f"joint={','.join(config.joint)}", "label=y", "donor=donor", f"out={out}"]
    module = "cell_synergy.downstream.run_benchmarks"
    command = ["python", "-m", module, f"units={units}", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    return pd.read_csv(out), pd.read_csv(folder / "sis-scores.csv")


def outcomes(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return star, ratio and largest gain of one data set, by probe and metric.

    Metrics that are not tested are tested here as if they were R2 of other tasks.
    """
    scores = scores[(scores["task"] != DONOR) & scores["metric"].isin(METRICS)]
    rest = scores[~scores["metric"].isin(VERDICT_METRICS)]
    renamed = rest.assign(task=rest["task"] + " " + rest["metric"], metric="r2")
    untested = sis_table(renamed).assign(used="not used")
    names = untested["task"].str.rpartition(" ")
    untested = untested.assign(task=names[0], metric=names[2])
    tables = pd.concat([table[table["p"].notna()].assign(used="used"), untested])
    tables = tables[tables["fold"] == ALL_FOLDS]
    tables = tables.assign(star=tables["p_corrected"] < SIGNIFICANCE)
    case = ["task", "probe", "metric"]
    tests = tables.groupby([*case, "used"]).agg(star=("star", "any"), gain=("gain", "max"))
    ratios = table["sis"].notna().groupby([table[name] for name in case]).any().rename("ratio")
    return tests.reset_index("used").join(ratios).reset_index()


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the share of data sets with a star and its upper limit, by size, task and probe."""
    pooled = results.assign(size="all")
    groups = pd.concat([results, pooled]).groupby(
        ["through", "size", "task", "probe", "metric", "used"]
    )
    table = groups.agg(
        datasets=("star", "size"), stars=("star", "sum"), ratios=("ratio", "sum"),
        largest_gain=("gain", "max"),
    ).reset_index()  # fmt: skip
    limit = beta.ppf(0.975, table["stars"] + 1, table["datasets"] - table["stars"])
    share = table["stars"] / table["datasets"]
    return table.assign(share=share, upper=np.where(share == 1, 1.0, limit))


def study(library: int, command: int) -> pd.DataFrame:
    """Return the outcomes of data sets of every size."""
    probe, results = load(ProbeConfig, "probe"), []
    for name, size in SIZES.items():
        for seed in range(library // len(SIZES)):
            scores = library_scores(size, seed, probe)
            part = outcomes(sis_table(scores), scores)
            results.append(part.assign(through="library", size=name))
        for seed in range(command // len(SIZES)):
            with TemporaryDirectory() as folder:
                part = outcomes(*command_tables(size, seed, Path(folder)))
            results.append(part.assign(through="command", size=name))
    return pd.concat(results, ignore_index=True)


def main(args: Args) -> None:
    """Draw, score, print, write."""
    use_threads(1)
    table = summary(study(args.library, args.command))
    print(table.to_string(index=False, float_format="%.4f"))
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
