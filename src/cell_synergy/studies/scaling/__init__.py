"""Data scaling: what fusion, single experts and a fine-tuned expert make of few training pairs."""

WHOLE = 100.0  # per cent
DRAWN, EVERY = "drawn", "all"  # whose labels are known
TUNED, FROZEN = "finetuned", "frozen"  # arms of the tunable expert
PRIOR = "prior"  # the null: features that say nothing leave the shares of labels
