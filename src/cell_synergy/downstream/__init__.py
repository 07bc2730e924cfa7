"""Evaluation of representations.

`run_benchmarks` is the public command; `evaluate` scores one representation on the tasks of a data
set. `probes` has the linear and nonlinear probes, `information` the decomposition of information
estimated from their posteriors, `spatial` the tasks about an observation's neighbours. Modules with
a leading underscore are internal to their folder.
"""
