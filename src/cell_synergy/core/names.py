"""Names that tables share: methods with a part of their own, probes, and the control task."""

UNIMODAL = ("image", "expression")  # one expert alone: what SIS compares with
CONTROLS = ("shuffled", "random", "pca")

LINEAR = "linear"
NONLINEAR = "mlp"
LATE_FUSION = "late fusion"
FINE_TUNED = "fine-tuned"
TRANSDUCTIVE = ", transductive"  # ends a probe's name where features were scaled per donor

DONOR = "donor"  # the task that asks whose tissue an observation is: a control
