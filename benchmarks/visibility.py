"""Read single latent states of simulated tissue, to choose how well each twin shows them.

python -m benchmarks.visibility settings=benchmarks/visibility.yaml seed=1000 train=6 test=4 \
    out=benchmarks/visibility.csv

For every setting that the file lists for a twin, its reference donors are drawn anew, with another
seed than the study's: those that fit the expression expert, of the twin's size, and `train` and
`test` further donors of the same kind of tissue, of the size of training donors. Both experts of
the study embed them, and the study's linear probe of each latent state is fitted on the first and
scored on the latter. No observation that the study scores is read, and no method is fitted.

The table has one row per twin, seed, setting, state and expert that can see the state:
`balanced_accuracy` and `bits` (information about the state, by the probe's log loss), means over
the `test` donors. The chosen setting is copied to params.yaml by hand. Forty CPU seconds per
setting.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from pydantic import PositiveInt, TypeAdapter

from cell_synergy import encoders
from cell_synergy.core.config import Config, arguments, load, read_param, read_section, validate
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import LINEAR
from cell_synergy.core.yaml import mapping_of
from cell_synergy.data.config import DatasetConfig, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.data.splits import folds
from cell_synergy.data.study_design import Role
from cell_synergy.downstream.evaluate import FoldEvaluator, standardised_blocks
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import task_targets
from cell_synergy.raw import build, readers
from cell_synergy.raw.simulator import simulate
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.studies import truth

METRICS = ["balanced_accuracy", "bits"]
MODALITIES = ("image", "expression")


class Args(Config):
    """Settings by twin, the seed of the tissue, numbers of further donors, and the output.

    Attributes
    ----------
    settings
        YAML file: a list of settings for each twin, each with values of `data.<twin>.source`.
    seed
        Seed of the tissue; another one than those of the twins.
    train, test
        Numbers of donors that the probes are fitted on, and that they are scored on.
    out
        File of the table.
    """

    settings: Path
    seed: int
    train: PositiveInt
    test: PositiveInt
    out: Path


def reference_tissue(
    name: str, setting: Mapping[str, object], args: Args, raw: Path
) -> tuple[ad.AnnData, ad.AnnData, DatasetConfig]:
    """Simulate donors of a twin with one setting, and read them.

    Parameters
    ----------
    name, setting
        Name of the twin, and the values that replace those of its source.
    args
        Seed, and numbers of donors.
    raw
        Folder that the raw files are written to.

    Returns
    -------
    The observations of the further donors, with one categorical column per latent state; the
    reference observations; and the configuration of both, whose roles `train` and `test` are the
    further donors.
    """
    block = read_section(f"data.{name}")
    reference = block["roles"]["reference"]
    units = {"reference": block["source"]["units"]["reference"]}
    units["study"] = block["source"]["units"]["train"]
    values = block["source"] | setting | {"seed": args.seed, "units": units}
    source = validate(SimulatorSource, values, f"data.{name}.source")
    further = [f"S{number + 1}" for number in range(args.train + args.test)]
    roles = {"train": further[: args.train], "test": further[args.train :]}
    changes = {
        "source": values,
        "roles": roles | {"reference": reference},
        "tasks": {"cell_type": {"kind": "classification"}},
    }
    dataset = validate(DatasetConfig, block | changes, f"data.{name}")
    platform = {"platform": dataset.reader.kind}
    parameters = read_section("simulator") | source.tissue() | platform
    config = validate(SimulatorConfig, parameters, "simulator")
    role_of: dict[str, Role] = dict.fromkeys(reference, "reference")
    simulate(name, config, role_of | dict.fromkeys(further, "study"), raw, lambda donors: donors)
    rules = load(build.PairsConfig, "pairs")
    pairs, references = build.build(name, readers.read(raw, dataset), dataset, rules, raw)
    latent, _ = truth.read(raw, pairs, dataset.unit_um)
    for state in latent:
        pairs.obs[state] = latent[state].astype("category")
    return pairs, references, dataset


def embedded(
    modality: str, pairs: ad.AnnData, reference: ad.AnnData, raw: Path
) -> Float32[np.ndarray, "obs dim"]:
    """Return the embedding of a modality by the study's expert, fitted on the reference donors.

    Parameters
    ----------
    modality
        `image` or `expression`.
    pairs, reference
        Observations to embed, and those of reference donors.
    raw
        Folder of the raw files.
    """
    name = read_param(f"experts.{modality}")
    encoder = encoders.load(name, read_section(f"encoders.{name}"))
    with TemporaryDirectory() as folder:
        card = encoder.freeze(reference, Path(folder))
        Path(folder, encoders.CARD).write_text(json.dumps(card))
        return encoder.embed(pairs, raw, Path(folder))


def read_states(
    pairs: ad.AnnData,
    reference: ad.AnnData,
    dataset: DatasetConfig,
    raw: Path,
    probe: ProbeConfig,
) -> Iterator[dict[str, object]]:
    """Yield the state, the expert and the scores of every state that an expert can see.

    Parameters
    ----------
    pairs, reference, dataset
        What `reference_tissue` returns.
    raw
        Folder of the raw files.
    probe
        Configuration of the linear probe.
    """
    donor = pairs.obs["donor"].astype(str).to_numpy()
    split, mode = folds(pairs.obs, dataset), dataset.standardise
    image, expression = (embedded(modality, pairs, reference, raw) for modality in MODALITIES)
    paired = PairedDataset(pairs, image, expression, donor, donor, split, mode)
    (fold,) = split
    for modality, embedding in zip(MODALITIES, (image, expression), strict=True):
        states = [name for name in pairs.obs if name.startswith((modality, "shared"))]
        tasks = {name: {"kind": "classification"} for name in states}
        targets = task_targets(paired, TypeAdapter(dict[str, Task]).validate_python(tasks))
        evaluator = FoldEvaluator(paired, targets, fold, probe)
        blocks = standardised_blocks(modality, embedding, paired, fold, 0)
        predictions = {LINEAR: evaluator.linear(blocks, {}, donor=False)}
        scores = pd.DataFrame(evaluator.scores(predictions))
        table = scores.pivot_table("value", "task", "metric")[METRICS]
        for state in states:
            yield {"state": state, "expert": modality, **table.loc[state]}


def main(args: Args) -> None:
    """Simulate, embed and read each setting, write."""
    use_threads(read_param("threads"))
    probe = load(ProbeConfig, "probe")
    rows: list[dict[str, object]] = []
    for twin, settings in mapping_of(args.settings).items():
        for setting in settings:
            with TemporaryDirectory() as folder:
                raw = Path(folder)
                tissue = reference_tissue(twin, setting, args, raw)
                first = {"twin": twin, "seed": args.seed, **setting}
                read = [first | row for row in read_states(*tissue, raw, probe)]
            print(pd.DataFrame(read).to_string(), flush=True)
            rows += read
    with atomic_write(args.out) as new:
        pd.DataFrame(rows).to_csv(new, index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
