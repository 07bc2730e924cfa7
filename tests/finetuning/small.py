"""Experts that are small enough to be tuned in a test."""

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer

from cell_synergy.core.config import merge, validate
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel
from cell_synergy.encoders._nicheformer.pooling import Opened
from cell_synergy.encoders._nicheformer.tokenizer import Sentences
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
    """Return a random Nicheformer that can be tuned."""
    return tunable.nicheformer("tiny", "a" * 64, opened(counts, layers), most=4)


def opened(counts, layers=2):
    """Return a random Nicheformer whose tokens are a unit's genes, ranked by counts."""
    units, genes = counts.shape
    torch.manual_seed(0)
    config = NicheformerConfig(
        vocab_size=genes + 2, prediction_size=genes, max_position_embeddings=genes,
        hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.3,
    )  # fmt: skip
    ranked = 2 + np.argsort(-counts, axis=1, kind="stable").astype(np.int32)
    cells = Sentences(ranked.ravel(), genes * np.arange(units + 1))
    network = NicheformerModel(config).eval()
    return Opened(network, cells, np.arange(units), "masked")


def vision(codes):
    """Return a random ViT from timm, and patches whose colour is nearly a unit's code."""
    torch.manual_seed(0)
    network = VisionTransformer(
        img_size=16, patch_size=8, depth=2, embed_dim=16, num_heads=2, num_classes=0
    )
    rng = np.random.default_rng(0)
    colours = np.eye(3)[codes] + 0.5 * rng.standard_normal((len(codes), 3))
    patches = torch.from_numpy(colours).float()[:, :, None, None].expand(-1, -1, 16, 16)

    def shown(rows):
        return patches[torch.from_numpy(rows)]

    return tunable.vision("tiny_vit", "b" * 64, network.eval(), shown, len(codes))
