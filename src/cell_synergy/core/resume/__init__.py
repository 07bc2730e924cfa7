"""Resumable work: the files of an interrupted computation, and when a run may resume from them.

`scratch` has the folder of everything unfinished and the hash that names it, `part_store` the
finished parts of a computation (rows of a table, batches of an array), `torch_states` the state of
a training run. All that is called from outside has no leading underscore.
"""
