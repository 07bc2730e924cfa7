"""Probes: linear and nonlinear readers of a representation, and how their answers are scored."""
