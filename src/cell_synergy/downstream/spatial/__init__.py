"""Spatial evaluation: prediction of the neighbours of a spot, and of which spots lie close.

`scores.evaluate` scores one representation, `distance.curves` compares all of them over distance,
`checks.check` refuses coordinates that are no micrometres. `graph`, `targets` and `consistency`
build the distance bands, their targets and the pairs. The folder is a public command as well
(`python -m cell_synergy.downstream.spatial`).
"""
