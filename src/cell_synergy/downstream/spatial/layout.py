"""Columns and names of the scores, for whoever reads them."""

OF_THE_BAND = ["target", "band", "inner_um", "outer_um", "neighbours"]
CONSISTENCY = "consistency"  # the task of pairs of units, which has no band
