"""Consistency of params.yaml and the data, checked while the pairs are made.

`raw.build` collects every contradiction in a `problems.Problems` and raises them as one error:
`donor_roles` checks roles, names and the split, `task_labels` the labels on each fold,
`joined_pairs` what later stages require. Called from outside: `joined_pairs.StageRequirements`.
"""
