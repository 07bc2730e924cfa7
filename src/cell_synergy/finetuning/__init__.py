"""Training of fusion methods, and fine-tuning of an expert, on a paired data set.

`run_alignment` and `run_expert` are public commands; `align` fits one method on all folds and
seeds. `tunable` opens a frozen expert, `adapters` selects its trainable parameters, `tuning`
fine-tunes them on one task, and `finetune` fine-tunes and scores all tasks of a data set. The
scaling study calls `tunable`, `adapters`, `tuning` and `finetune` too.
"""
