"""Partial information decomposition of two embeddings about a label, estimated from probes.

`task_information.information` decomposes every classification task of a data set and
`decompose.decompose` one of them; `held_out` has its input, and `estimate`, `recalibration` and
`clustering` implement the estimate.
"""
