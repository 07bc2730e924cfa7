"""What the stages and the public commands share: arguments, the experiment they name, outputs.

`args` has the arguments of a stage on one method and one data set, `experiment` reads what they
name from params.yaml, and `command` runs a public command. `check_params` is the check of
params.yaml that the runner calls before it plans a study. Stages and command modules may call all
of them; the library does not.
"""
