"""An expert that is small enough to be fine-tuned in a test."""

import numpy as np
import torch

from cell_synergy.core.config import merge, validate
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel
from cell_synergy.encoders._nicheformer.pooling import CellEmbedder
from cell_synergy.encoders._nicheformer.tokenizer import TokenSequences
from cell_synergy.finetuning import tunable
from cell_synergy.finetuning.config import FinetuneConfig

SETTINGS = {
    "how": "lora",
    "lora": {"rank": 2, "alpha": 4, "dropout": 0.1, "lr": 0.02},
    "last": {"layers": 1, "lr": 0.003},
    "rounds": 4,
    "steps": 4,
    "held": 40,
    "batch_size": 20,
    "weight_decay": 0.01,
    "cells": 4,
    "precision": "float32",
    "tasks": "all",
    "seed": 0,
    "seeds": 1,
}


def settings(**changes):
    return validate(FinetuneConfig, merge(SETTINGS, changes), "finetune")


def nicheformer(counts, layers=2):
    """Return a randomly initialised Nicheformer that can be fine-tuned."""
    return tunable.nicheformer("tiny", "a" * 64, cell_embedder(counts, layers), max_cells=4)


def cell_embedder(counts, layers=2):
    """Return a randomly initialised Nicheformer; tokens are genes in the order of their counts."""
    n_obs, genes = counts.shape
    torch.manual_seed(0)
    config = NicheformerConfig(
        vocab_size=genes + 2, prediction_size=genes, max_position_embeddings=genes,
        hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.3,
    )  # fmt: skip
    ranked = 2 + np.argsort(-counts, axis=1, kind="stable").astype(np.int32)
    cells = TokenSequences(ranked.ravel(), genes * np.arange(n_obs + 1))
    network = NicheformerModel(config).eval()
    return CellEmbedder(network, cells, np.arange(n_obs), "masked")
