"""Shared code of stages and public commands: arguments, configuration and outputs.

`args` has the arguments of a stage on one method and one data set, `experiment` reads the
configuration of both from params.yaml, and `command` runs a public command. Only stages and the
modules of public commands import this package.
"""
