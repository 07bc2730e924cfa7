"""Nicheformer: network, tokens, published checkpoints, and its pretraining on one's own cells.

Schaar, Tejada-Lapuerta et al., Nicheformer, bioRxiv 2024.04.15.589472 and Nature Methods 2025;
authors' repository theislab/nicheformer (BSD-3), weights theislab/Nicheformer at the hub.
"""
