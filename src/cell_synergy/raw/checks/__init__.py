"""Whether params.yaml and the data go together: all that does not is told at once, by `pairs`."""
