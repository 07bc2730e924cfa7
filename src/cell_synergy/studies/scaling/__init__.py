"""Data scaling: scores of fusion, single experts and a fine-tuned expert on few training pairs.

`subsets` draws nested subsets of the training pairs, `subset_evaluator` scores an embedding that
was fitted to one, `subsampled_method` fits a method to subsets, `finetuned_arm` the tunable expert.
`curves` reads the scores and compares methods. The stages `scaling` and `finetune` call `scale` of
both, the notebook and the stage `claims` call `curves`.
"""

WHOLE = 100.0  # per cent
DRAWN_LABELS, ALL_LABELS = "drawn", "all"  # labels that probes are fitted to
TUNED, FROZEN = "finetuned", "frozen"  # arms of the tunable expert
PRIOR = "prior"  # the null: with constant features a probe predicts the shares of labels
