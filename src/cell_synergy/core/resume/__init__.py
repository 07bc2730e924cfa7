"""Resumable work: the files of an interrupted computation, and when a run may resume from them.

`scratch` names the folder of unfinished computations and hashes what a computation depends on,
`part_store` stores finished parts (rows of a table, batches of an array), `torch_states` the state
of a training run. Names without a leading underscore may be used from outside.
"""
