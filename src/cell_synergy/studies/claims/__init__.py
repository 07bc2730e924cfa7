"""The paper's claims, decided by the study's tables for each data set.

Called from outside: `evidence.ClaimsConfig` and `evidence.Tables` (configuration and inputs),
`verdicts.verdicts` and `verdicts.markdown` (all verdicts as a table and as text). `rules` has one
rule per claim.
"""
