"""Nicheformer: network, tokens, published checkpoints and pretraining.

Schaar, Tejada-Lapuerta et al., Nicheformer, bioRxiv 2024.04.15.589472 and Nature Methods 2025;
authors' repository theislab/nicheformer (BSD-3), weights theislab/Nicheformer on the hub.

The experts `nicheformer` and `nicheformer_small` use all modules; fine-tuning uses `modeling.pool`
and `pooling.CellEmbedder`.
"""
