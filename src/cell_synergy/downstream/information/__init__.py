"""Redundant, unique and synergistic information, learnt from what probes say."""
