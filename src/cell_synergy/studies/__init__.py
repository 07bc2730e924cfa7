"""The analyses of trained methods that the paper reports, a module or a folder each.

`spectrum` (what linear alignment can retain), `scaling` (few training pairs), `trifeature` and
`calibration` (data with exact decompositions), `truth` and `decoding` (ground truth of simulated
tissue), `claims` (verdicts), `detection` (what a study of some donors can find). `preflight` checks
the parameters of a study, and `check_params` those of params.yaml before the runner plans a stage;
`licensed` adds blocks that need a licence to it.
"""
