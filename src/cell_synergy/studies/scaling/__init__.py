"""Data scaling: scores of fusion, single experts and a fine-tuned expert on few training pairs.

`subsets` draws nested subsets of the training pairs, `subset_evaluator` scores an embedding on one
subset, `subsampled_method` fits a method to subsets, and `finetuned_arm` fine-tunes the tunable
expert on them. `curves` reads the scores and compares methods. The stage `scaling` calls
`subsampled_method.scale`, the stage `finetune` `finetuned_arm.scale`, and the notebook and the
stage `claims` call `curves`.
"""

WHOLE = 100.0  # per cent
DRAWN_LABELS, ALL_LABELS = "drawn", "all"  # training labels that probes are fitted to
TUNED, FROZEN = "finetuned", "frozen"  # arms of the tunable expert
PRIOR = "prior"  # null: a probe of constant features, which predicts the label shares
