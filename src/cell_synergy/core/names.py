"""Names that occur in several tables: experts, controls, probes, and the control task."""

UNIMODAL = ("image", "expression")  # methods that are one expert alone, the reference of SIS
CONTROLS = ("shuffled", "random", "pca")

LINEAR = "linear"
NONLINEAR = "mlp"
LATE_FUSION = "late fusion"
FINE_TUNED = "fine-tuned"
TRANSDUCTIVE = ", transductive"  # suffix of a probe's name if features are scaled per donor

DONOR = "donor"  # control task: predict the donor of an observation
