"""Spatial evaluation: prediction of an observation's neighbours, and of which pairs are close.

`scores.evaluate` scores one representation, `distance.curves` compares methods over distance, and
`checks.check` refuses coordinates that cannot be micrometres. `graph`, `targets` and `consistency`
build the distance bands, their targets and the pairs. The package is a public command as well
(`python -m cell_synergy.downstream.spatial`).
"""
