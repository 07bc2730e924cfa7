"""What methods learn with: the training loop, networks, canonical correlations, weights on disk."""
