"""From scores of probes to the Synergistic Information Score and its intervals over donors.

Called from outside: `tables` (reads score tables, computes SIS tables, selects headline rows),
`inference` (intervals and tests over donors), `families` (methods over which p values are corrected
together), `results` (scores as the nested dictionary of the
reference implementation), and `model_scores` (checks of such dictionaries). `reference` joins each
score with the better single modality's score.
"""
