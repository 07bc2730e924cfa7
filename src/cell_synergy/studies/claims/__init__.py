"""The paper's claims, decided by the study's tables for each data set.

Called from outside: `evidence.ClaimsConfig` and `evidence.Tables` (configuration and inputs),
`verdicts.verdicts` and `verdicts.markdown` (all verdicts as a table and as text). `rules` lists one
rule per claim, which `gain_rules`, `rank_rules` and `share_rules` define; `outcomes` judges single
tasks by the truth and by detection limits.
"""
