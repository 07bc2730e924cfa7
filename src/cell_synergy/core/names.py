"""Names that occur in several tables, and the number of donors that intervals need.

A method is of one group: a single expert (`UNIMODAL`), one of the paper's ten (`PAPER_METHODS`), a
control (`CONTROLS`, and the names that `self_paired` returns), or beyond the paper: the extensions
of this study, and any method that a user adds.
"""

from typing import Literal

MethodGroup = Literal["expert", "paper", "control", "beyond the paper"]

UNIMODAL = ("image", "expression")  # methods that are one expert alone, the reference of SIS
PAPER_METHODS = (
    "concat", "cca", "dcca", "simclr", "byol", "simsiam", "barlowtwins", "vicreg", "dim", "comm",
)  # fmt: skip
CONTROLS = ("shuffled", "random", "pca", "random_products", "pca_products")
VERDICT_METRICS = ("bits", "r2")  # that gains are tested in: of classifications, of regressions

LINEAR = "linear"
NONLINEAR = "mlp"
LATE_FUSION = "late fusion"
FINE_TUNED = "fine-tuned"
TRANSDUCTIVE = ", transductive"  # suffix of a probe's name if features are scaled per donor

DONOR = "donor"  # control task: predict the donor of an observation
MIN_DONORS = 5  # with fewer donors, results have neither intervals nor p values


def self_paired(method: str, expert: str) -> str:
    """Return the name of the control of a method that is trained on one expert paired with itself.

    Parameters
    ----------
    method, expert
        Name of the fusion method, and of the expert (one of `UNIMODAL`).
    """
    return f"{method}_{expert}"


def is_control(name: str) -> bool:
    """Return whether a method is a control, which no comparison of fusion methods includes.

    Parameters
    ----------
    name
        Name of a method. Controls are `CONTROLS` and the names that `self_paired` returns.
    """
    method, _, expert = name.rpartition("_")
    return name in CONTROLS or (method != "" and expert in UNIMODAL)


def method_group(name: str) -> MethodGroup:
    """Return the group of a method, for scores and figures that list the groups apart.

    Parameters
    ----------
    name
        Name of a method. One that is neither an expert nor a control nor among the paper's ten is
        "beyond the paper".
    """
    if name in UNIMODAL:
        return "expert"
    if is_control(name):
        return "control"
    return "paper" if name in PAPER_METHODS else "beyond the paper"
