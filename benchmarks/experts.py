"""Compare the expression experts that need no download, by the scores of probes on held-out donors.

python -m benchmarks.experts dataset=lung pairs=data/pairs labels=data/labels \
    reference=data/reference out=benchmarks/experts/lung.csv [encoder.epochs=5]

PCA and the small Nicheformer are fitted on the reference donors; the third expert is the same
network with the initial weights of the same seed, which shows the effect of pretraining. Words
`encoder.KEY=VALUE` override the block `encoders.nicheformer_small` of params.yaml. Each embedding
alone is scored with the study's probes and folds; values are means over test donors of macro F1
(classes) or Pearson correlation (genes, composition), of the linear and the nonlinear probe.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from pydantic import Field

from cell_synergy import encoders
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
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import DONOR
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.data.splits import folds, split_groups
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders import nicheformer_small
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.pretraining import build

Embedding = Float32[np.ndarray, "obs dim"]


class Args(Config):
    """Data set, folders of its pairs, labels and reference donors, overrides, and the output."""

    dataset: str
    pairs: Path
    labels: Path
    reference: Path
    encoder: Any = Field(default_factory=dict)
    out: Path


def embeddings(
    adata: ad.AnnData, reference: ad.AnnData, block: Mapping[str, Any], folder: Path
) -> dict[str, Embedding]:
    """Freeze both experts; embed the observations with each and with the untrained network."""
    embedded = {}
    for name, values in (("pca", read_section("encoders.pca")), ("nicheformer_small", block)):
        (folder / name).mkdir()
        expert = encoders.load(name, values)
        card = expert.freeze(reference, folder / name)
        (folder / name / encoders.CARD).write_text(json.dumps(card))
        embedded[name] = expert.embed(adata, folder, folder / name)
        if isinstance(expert, nicheformer_small.Expert):
            cell_embedder = expert.cell_embedder(adata, folder / name)
            config = NicheformerConfig(**cell_embedder.network.config.to_dict())
            network = build(config, expert.pretraining.seed).nicheformer
            network.train(mode=False)
            untrained = replace(cell_embedder, network=network)
            embedded[f"{name}, untrained"] = untrained.embed(expert.batch_size)
    return embedded


def scores(
    name: str, adata: ad.AnnData, embedding: Embedding, dataset: BenchmarkConfig
) -> pd.DataFrame:
    """Return the mean score over test donors, one row per task and probe."""
    paired = PairedDataset(
        adata,
        embedding,
        embedding,
        split_groups(adata.obs, dataset),
        adata.obs["donor"].astype(str).to_numpy(),
        folds(adata.obs, dataset),
        dataset.standardise,
    )
    probe = load(ProbeConfig, "probe")
    table = evaluate(name, paired, dataset.tasks, [0], lambda *_: embedding, probe).scores
    table = table[table["metric"].isin(["macro_f1", "pearson"]) & (table["task"] != DONOR)]
    case = ["method", "task", "metric", "probe"]
    return table.groupby(case, sort=False)["value"].mean().reset_index()


def main(args: Args) -> None:
    """Freeze, embed, score, print, write."""
    use_threads(read_param("threads"))
    name = args.dataset
    dataset = load_keys(BenchmarkConfig, f"data.{name}")
    adata = read_pairs(args.pairs / f"{name}.h5ad", args.labels / f"{name}.h5ad")
    block = merge(read_section("encoders.nicheformer_small"), args.encoder)
    with TemporaryDirectory() as folder:
        reference = read_pairs(args.reference / f"{name}.h5ad")
        embedded = embeddings(adata, reference, block, Path(folder))
    table = pd.concat([scores(expert, adata, z, dataset) for expert, z in embedded.items()])
    wide = table.pivot_table("value", ["method", "probe"], "task", sort=False)
    print(wide.round(3).to_string())
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
