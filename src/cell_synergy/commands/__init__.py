"""Shared parts of stages and public commands: arguments, the experiment they name, outputs.

`args` has the arguments of a stage on one method and one data set, `experiment` reads the
configuration of both from params.yaml, and `command` runs a public command. Stages and the modules
of public commands may call all of them; the rest of the library does not.
"""
