"""Data scaling: scores of fusion, frozen experts and a fine-tuned expert on few training pairs.

All arms read the same image expert and the same expression expert, the one that can be fine-tuned:
otherwise curves would differ by expert, and not by what is made of it.

`subsets` draws nested subsets of the training pairs, `subset_evaluator` scores an embedding on one
subset, `subsampled_method` fits a method to subsets, and `finetuned_arm` fine-tunes the tunable
expert on them. `curves` reads the scores and compares methods. The stage `scaling` calls
`subsampled_method.scale`, the stage `finetune` `finetuned_arm.scale`, and the notebook and the
stage `claims` call `curves`.
"""

WHOLE = 100.0  # per cent
DRAWN_LABELS, ALL_LABELS = "drawn", "all"  # training labels that probes are fitted to
TUNED = "finetuned"  # the arm of the expert that is fine-tuned
PRIOR = "prior"  # null: a probe of constant features, which predicts the label shares
EXPERT = "expression_expert"  # column: expression expert that a curve is about
