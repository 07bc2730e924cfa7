"""The questions that the paper asks of trained methods, a module or a folder each.

`spectrum` (what linear alignment can keep), `scaling` (few training pairs), `trifeature` and
`calibration` (known answers), `truth` and `decoding` (what a simulated data set knows), `claims`
(verdicts). `preflight` checks the parameters of a study, and `check_params` those of params.yaml
before the runner plans anything.
"""
