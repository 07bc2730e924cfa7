"""Compare the expression experts that need no download, by the scores of probes on held-out donors.

python benchmarks/experts.py DATASET PAIRS LABELS REFERENCE [SETTING=VALUE ...]

PAIRS, LABELS and REFERENCE are the files that `dvc repro pairs` wrote for the data set; settings
override the block `encoders.nicheformer_small` of params.yaml. PCA and the small Nicheformer are
fitted on the reference donors; the third row is the same network with the initial weights of the
same seed, which shows the effect of pretraining. Each embedding alone is scored with the study's
probes and folds; the numbers are means over test donors of macro F1 (classes) or Pearson
correlation (genes, composition), of the linear and the nonlinear probe.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32

from cell_synergy import encoders
from cell_synergy.core.config import load, merge, parse, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.names import DONOR
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.data.splits import folds, split_groups
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders import nicheformer_small
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.pretraining import build

Embedding = Float32[np.ndarray, "obs dim"]


def embeddings(
    units: ad.AnnData, reference: ad.AnnData, settings: dict[str, object], folder: Path
) -> dict[str, Embedding]:
    """Freeze both experts; embed the observations with each and with the untrained network."""
    found = {}
    for name, block in (("pca", read_section("encoders.pca")), ("nicheformer_small", settings)):
        (folder / name).mkdir()
        clock, expert = process_time(), encoders.load(name, block)
        card = expert.freeze(reference, folder / name)
        (folder / name / encoders.CARD).write_text(json.dumps(card))
        frozen = process_time() - clock
        found[name] = expert.embed(units, folder, folder / name)
        size = sum(path.stat().st_size for path in (folder / name).iterdir()) / 1e6
        print(f"{name}: {card['dimension']} features, frozen in {frozen:.0f} CPU s, {size:.2f} MB")
        if isinstance(expert, nicheformer_small.Expert):
            cell_embedder = expert.cell_embedder(units, folder / name)
            config = NicheformerConfig(**cell_embedder.network.config.to_dict())
            network = build(config, expert.pretraining.seed).nicheformer
            network.train(mode=False)
            untrained = replace(cell_embedder, network=network)
            found["the same, untrained"] = untrained.embed(expert.batch_size)
    return found


def scores(
    name: str, units: ad.AnnData, embedding: Embedding, dataset: DatasetConfig
) -> pd.DataFrame:
    """Return the mean score over test donors: a row per probe, a column per task."""
    paired = PairedDataset(
        units,
        embedding,
        embedding,
        split_groups(units.obs, dataset),
        units.obs["donor"].astype(str).to_numpy(),
        folds(units.obs, dataset),
        dataset.standardise,
    )
    probe = load(ProbeConfig, "probe")
    judged = evaluate(name, paired, dataset.tasks, [0], lambda *_: embedding, probe).scores
    kept = judged[judged["metric"].isin(["macro_f1", "pearson"]) & (judged["task"] != DONOR)]
    return kept.pivot_table("value", ["method", "probe"], "task", sort=False)


def main(name: str, pairs: Path, labels: Path, reference: Path, words: list[str]) -> None:
    """Print one row per expert, one column per task."""
    use_threads(read_param("threads"))
    dataset = load(DatasetConfig, f"data.{name}")
    units = read_pairs(pairs, labels)
    settings = merge(read_section("encoders.nicheformer_small"), parse(words))
    with TemporaryDirectory() as folder:
        found = embeddings(units, read_pairs(reference), settings, Path(folder))
    rows = [scores(expert, units, embedding, dataset) for expert, embedding in found.items()]
    print(pd.concat(rows).round(3).to_string())


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        pairs, labels, reference = map(Path, sys.argv[2:5])
        main(sys.argv[1], pairs, labels, reference, sys.argv[5:])
