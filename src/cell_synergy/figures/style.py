"""What two figures share: style, names, colours, saving."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cell_synergy.core.files import atomic
from cell_synergy.core.names import CONTROLS, UNIMODAL

NAMES = {
    "concat": "Concat",
    "cca": "CCA",
    "dcca": "DCCA",
    "simclr": "SimCLR",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "barlowtwins": "Barlow Twins",
    "vicreg": "VICReg",
    "dim": "DIM",
    "comm": "CoMM",
    "image": "Image",
    "expression": "Expression",
    "shuffled": "CoMM, shuffled pairs",
    "random": "Random projection",
    "pca": "PCA",
}
FOCUS, PLAIN, CONTROL = "#c1272d", "#2f6690", "#9aa5b1"
IMAGE, EXPRESSION = "#7b4fa3", "#2a9d6f"
PALETTE = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#e6862b", "#7a5c3e",
    "#8fbc8f", "#5d6d8a", "#d4a5a5", "#3b7a78", "#b0a030", "#93628a", "#cf7a54", "#6f8f3a",
    "#a0c4e8", "#e3a7c0", "#545454", "#c9b28f", "#4a9ca6", "#b55a5a",
)  # fmt: skip


def style() -> None:
    """Set the one style of all figures."""
    mpl.use("Agg")
    mpl.rcParams.update(
        {
            "figure.dpi": 150,
            "savefig.dpi": 150,
            "font.family": "DejaVu Sans",
            "font.size": 8,
            "axes.titlesize": 9,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "legend.frameon": False,
            "pdf.fonttype": 42,
            "svg.hashsalt": "cell-synergy",
        }
    )


def colour(method: str, focal: str) -> str:
    """Return the colour of a method: focal, control, one of the experts, or another method."""
    special = {focal: FOCUS, "image": IMAGE, "expression": EXPRESSION}
    special |= dict.fromkeys(CONTROLS, CONTROL)
    return special.get(method, PLAIN)


def order(methods: Sequence[str]) -> list[str]:
    """Return methods in the order of `NAMES`, unknown ones (a user's own) before the controls."""
    known = list(NAMES)
    fusions = [m for m in known if m in methods and m not in (*UNIMODAL, *CONTROLS)]
    own = sorted(set(methods) - set(known))
    return [*fusions, *own, *(m for m in CONTROLS if m in methods)]


def title(dataset: str, simulated: bool) -> str:
    """Return a data set's name; a simulated one says so."""
    return f"{dataset} (simulated)" if simulated else dataset


def bare(axes: Axes) -> None:
    """Take ticks and frame from axes that show an image."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def tell(axes: Axes, words: str) -> None:
    """Write words where there is nothing to draw."""
    bare(axes)
    axes.text(
        0.5, 0.5, fill(words, 34), transform=axes.transAxes, ha="center", va="center", fontsize=7,
        color="#5a5a5a",
    )  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write `path` with the endings .pdf and .png, and close the figure."""
    for ending in (".pdf", ".png"):
        with atomic(path.with_suffix(ending)) as new:
            figure.savefig(new, bbox_inches="tight", facecolor="white")
    plt.close(figure)
