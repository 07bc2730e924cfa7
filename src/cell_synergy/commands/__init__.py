"""What the stages and the public commands share: arguments, the experiment they name, outputs.

`args` has the arguments of a stage on one method and one data set, `experiment` reads what they
name from params.yaml, and `command` runs a public command. Stages and the modules of public
commands may call all of them; the rest of the library does not.
"""
