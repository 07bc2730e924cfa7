"""Evaluation of representations.

`run_benchmarks` is the public command; `evaluate` scores one representation on the tasks of a data
set. `probes` holds the linear and nonlinear probes, `information` the decomposition of what they
predict, `spatial` the tasks about a spot's surroundings. Modules with a leading underscore are
internal to their folder.
"""
