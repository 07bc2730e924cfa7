"""Style, names and colours of all figures, and functions to label and save them."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import CONTROLS, UNIMODAL, is_control, method_group, self_paired

METHOD_NAMES = {
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
    "concat_full": "Concat, all features",
    "comm_products": "CoMM, products",
    "bilinear": "Bilinear",
    "bilinear_full": "Bilinear, all products",
    "image": "Image",
    "expression": "Expression",
    "shuffled": "CoMM, shuffled pairs",
    "random": "Random projection",
    "pca": "PCA",
    "random_products": "Random, products",
    "pca_products": "PCA, products",
}
METHOD_NAMES |= {
    self_paired(method, expert): f"{name}, {expert} twice"
    for method, name in METHOD_NAMES.items()
    if method not in (*UNIMODAL, *CONTROLS)
    for expert in UNIMODAL
}
# From redundant to unique to synergistic labels, and last the control that no method should show.
TASK_NAMES = {
    "cell_type": "cell type",
    "region": "region",
    "layer": "layer",
    "image_state": "image state",
    "expression_state": "expression state",
    "matched_niche": "matched niche",
    "mixed_niche": "mixed niche",
    "niche": "niche",
    "composition": "composition",
    "gene_panel": "gene panel",
}
_GROUP_NAMES = {
    "paper": "the paper's methods",
    "beyond the paper": "beyond the paper",
    "control": "controls",
}
FOCUS, PLAIN, CONTROL, SELF_PAIRED = "#c1272d", "#2f6690", "#9aa5b1", "#5f6973"
BASELINE, BEYOND = "#111111", "#d98e04"
IMAGE, EXPRESSION = "#7b4fa3", "#2a9d6f"
PARTS = {
    "redundant": "#8a8a8a",
    "unique_image": IMAGE,
    "unique_expression": EXPRESSION,
    "synergy": FOCUS,
}
PALETTE = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#e6862b", "#7a5c3e",
    "#8fbc8f", "#5d6d8a", "#d4a5a5", "#3b7a78", "#b0a030", "#93628a", "#cf7a54", "#6f8f3a",
    "#a0c4e8", "#e3a7c0", "#545454", "#c9b28f", "#4a9ca6", "#b55a5a",
)  # fmt: skip


def set_style() -> None:
    """Set the matplotlib style of all figures."""
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
    """Return the colour (`#rrggbb`) of a method by its role.

    The focal method, the experts and concatenation have a colour each; the paper's other methods
    share one, and so do fusion methods beyond the paper, controls, and controls on one expert
    paired with itself.

    Parameters
    ----------
    method, focal
        Names of the method and of the focal method.
    """
    if is_control(method):
        return CONTROL if method in CONTROLS else SELF_PAIRED
    special = {
        "concat": BASELINE, "concat_full": BASELINE, focal: FOCUS, "image": IMAGE,
        "expression": EXPRESSION,
    }  # fmt: skip
    return special.get(method, PLAIN if method_group(method) == "paper" else BEYOND)


def order(methods: Sequence[str]) -> list[str]:
    """Return the names of the methods in the order of figures, without the single experts.

    Fusion methods come first, in the order of `METHOD_NAMES`; then methods that `METHOD_NAMES`
    lacks, in alphabetic order; then shuffled pairs and the controls without alignment; last the
    controls on one expert paired with itself.
    """
    listed = [m for m in METHOD_NAMES if m in methods and m not in UNIMODAL]
    unlisted = sorted(set(methods) - set(METHOD_NAMES))
    return sorted([*listed, *unlisted], key=lambda m: (is_control(m), m not in CONTROLS))


def groups(methods: Sequence[str]) -> dict[str, list[str]]:
    """Return the methods by group, in the order of `order`; groups without a method are left out.

    Parameters
    ----------
    methods
        Names of methods; the single experts are left out.

    Returns
    -------
    :
        Names of the methods by the title of their group: the methods that the paper compares, other
        fusion methods, controls, and controls on one expert paired with itself.
    """
    members: dict[str, list[str]] = {}
    for method in order(methods):
        name = _GROUP_NAMES[method_group(method)]
        if is_control(method) and method not in CONTROLS:
            name = "one expert twice"
        members.setdefault(name, []).append(method)
    return members


def selection(methods: Sequence[str], focal: str) -> list[str]:
    """Return the methods that a figure with room for a few curves shows, in the order of `order`.

    Parameters
    ----------
    methods
        Names of all methods.
    focal
        Name of the focal method.

    Returns
    -------
    :
        All fusion methods, `CONTROLS` without products, and the self-paired controls of the focal
        method.
    """
    paired = [self_paired(focal, expert) for expert in UNIMODAL]
    return [
        m for m in order(methods)
        if not is_control(m) or m in paired or (m in CONTROLS and not m.endswith("_products"))
    ]  # fmt: skip


def task_order(tasks: Sequence[str]) -> list[str]:
    """Return tasks in the order of `TASK_NAMES`, then those that it lacks, in the given order.

    Parameters
    ----------
    tasks
        Names of tasks.
    """
    return [t for t in TASK_NAMES if t in tasks] + [t for t in tasks if t not in TASK_NAMES]


def task_name(task: str) -> str:
    """Return the name of a task as figures show it."""
    return TASK_NAMES.get(task, task.replace("_", " "))


def title(dataset: str, simulated: bool, role: str = "") -> str:
    """Return the title of a data set's panel.

    Parameters
    ----------
    dataset
        Name of the data set.
    simulated
        Whether its tissue is simulated; if so, "(simulated)" is appended.
    role
        What a simulated data set is for, which is appended; "" for none.
    """
    name = f"{dataset} (simulated)" if simulated else dataset
    return f"{name}: {role}" if role else name


def remove_frame(axes: Axes) -> None:
    """Remove ticks and frame, for axes that show an image."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def write_message(axes: Axes, message: str) -> None:
    """Write a message on axes without data.

    Parameters
    ----------
    axes
        The axes; ticks and frame are removed.
    message
        The text, which is wrapped.
    """
    remove_frame(axes)
    axes.text(
        0.5, 0.5, fill(message, 34), transform=axes.transAxes, ha="center", va="center", fontsize=7,
        color="#5a5a5a",
    )  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a figure as .pdf and .png, and close it.

    Parameters
    ----------
    figure
        The figure.
    path
        Path whose suffix is replaced by .pdf and .png.
    """
    for suffix in (".pdf", ".png"):
        with atomic_write(path.with_suffix(suffix)) as new:
            figure.savefig(new, bbox_inches="tight", facecolor="white")
    plt.close(figure)
