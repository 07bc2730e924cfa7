"""From scores of probes to the Synergistic Information Score and its intervals over donors.

`tables` reads and makes score tables, `reference` compares with the better expert, `inference` has
intervals and tests over donors, `results` the nested dictionary of the reference implementation.
"""
