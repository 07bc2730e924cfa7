"""Probes: predictors that are fitted on a frozen representation, and the scores of predictions.

`tasks` defines the train/test problems of a data set, `linear` and `mlp` solve them with
L2-penalised linear models and with a network of one hidden layer, `metrics` scores predictions, and
`config` has the settings. `design` fits linear models to any features; `estimators` are the linear
probes in scikit-learn's shape, and `estimator_probes` scores any estimator as a probe. `logistic`,
`ridge` and the modules with a leading underscore are internal.
"""
