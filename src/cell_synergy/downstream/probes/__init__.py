"""Probes: predictors that are fitted on a frozen representation, and the scores of predictions.

`tasks` turns a data set into train/test problems, `linear` and `mlp` solve them with L2-penalised
linear models and with a one-layer network, `metrics` scores predictions, `config` describes the
settings. `design` fits linear models to any features. `logistic`, `ridge` and the modules with a
leading underscore implement these.
"""
