"""Fitting fusion methods, and fine-tuning an expert, on a paired data set.

`run_alignment` and `run_expert` are public commands; `align` fits one method on all folds and
seeds. `tunable` opens a frozen expert, `adapters` selects its trainable parameters, `tuning` trains
them on one task, and `finetune` does so for all tasks of a data set and scores the result. The
scaling study calls `tunable`, `adapters`, `tuning` and `finetune` too.
"""
