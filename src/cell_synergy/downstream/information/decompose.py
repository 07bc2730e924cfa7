"""Decomposition of the information of two modalities about a label, estimated from probes.

Each embedding is represented by the posteriors that probes predict from it for held-out donors.
Every term uses one estimate of information, usable bits [2]_: the gain in log-likelihood of a
posterior over the label shares of the probe's training rows, as the metric `bits` of the score
table. A posterior that overstates is recalibrated first, by one slope about these shares that is
fitted on other donors [1]_. Donors have equal weights, however many observations they have. H is
the log-loss of the training shares: the bits of a posterior that is always right.

The unimodal posteriors determine the tables p(z1, y) and p(z2, y), from which BROJA computes the
redundant and unique information. Observations are clustered by their posteriors [3]_, and the table
of clusters and classes, with the label shares of the test donors, is tempered to the estimated
information: this compensates the loss by clustering. A table has at most the entropy of its label
shares, which is smaller than H where test and training donors differ in their shares. So usable
bits are multiplied by that entropy over H to make the table, and the parts that BROJA finds are
divided by the same factor: R + U1 = I(Y; Z1) holds in usable bits, and a posterior that is always
right has the whole entropy of its table. The unimodal posteriors do not determine the synergy: it
is the information of a joint, nonlinear probe of both embeddings beyond R + U1 + U2. A method's
certified synergy is the information of its representation beyond them.

Intervals are over donors. A jackknife does not see that all donors' posteriors are those of a probe
that misses the true posterior, which takes bits off R and S. Limits of the parts and of certified
synergy are therefore moved outwards by an allowance, .28 / sqrt(n) bits with n observations per
test donor: it was fitted to the errors on the designs of the study `calibrate` with seed 0, and
`benchmarks/coverage.py` measures the coverage on other seeds. The intervals hold more than the
95 % that they claim where probes miss little and where a part is 0, since limits end at 0: with
exact posteriors 98 to 100 % of parts above 0, and nearly all zeros.

References
----------
.. [1] Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
.. [2] Xu, Zhao, Song, Stewart and Ermon, "A theory of usable information under computational
   constraints", ICLR 2020.
.. [3] Dhillon, Mallela and Kumar, "A divisive information-theoretic feature clustering algorithm
   for text classification", Journal of Machine Learning Research 3, 2003.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from cell_synergy.core.config import Config
from cell_synergy.core.names import MIN_DONORS
from cell_synergy.downstream.information.estimate import Estimate
from cell_synergy.downstream.information.held_out import HeldOutPosteriors
from cell_synergy.scoring.inference import inflation, jackknife_t, not_testable

COLUMNS = ["method", "quantity", "probe", "bits", "low", "high", "n_donors", "note"]

_NONNEGATIVE = ["R", "U_image", "U_expression", "certified_synergy"]
_PARTS = [*_NONNEGATIVE, "S"]
_ALLOWANCE = 0.28  # bits times the square root of observations per donor: the docstring has why


class InformationConfig(Config):
    """Configuration of the information decomposition.

    Attributes
    ----------
    cells
        Maximal number of clusters of one modality's posteriors.
    """

    cells: Annotated[int, Field(ge=2)]


def decompose(held_out: HeldOutPosteriors, max_clusters: int) -> pd.DataFrame:
    """Return the information decomposition of one task, and the information of every method.

    Parameters
    ----------
    held_out
        Labels and posteriors of the task.
    max_clusters
        Maximal number of clusters of one modality's posteriors.

    Returns
    -------
    :
        One row per method and quantity, with the columns `COLUMNS`. For both experts (`PAIR`):
        `I_image`, `I_expression`, `I_joint`; `H`, the bits of a posterior that is always right; the
        parts `R`, `U_image`, `U_expression` and `S`, which is negative if the joint probe has less
        information than the experts' parts; `lost_image` and `lost_expression`, the information of
        a posterior that clustering loses before tempering. For a method: `I`; `complementarity`,
        its excess over the better expert's I; `certified_synergy`, its excess over R + U1 + U2, at
        least 0.

        `probe` is the name of the probe whose posterior the row is from; "" for the parts of the
        pair. `low, high` are 95 % jackknife t intervals over donors, with probes, recalibration and
        clusters unchanged. Those of R, U, S and `certified_synergy` are wider on either side by the
        allowance for the probes' error, and not below 0 except for S; where no donor changes the
        estimate, the interval is the allowance alone, and `note` says so. Under five donors there
        are no intervals, and `note` gives the reason.

    Raises
    ------
    DataError
        If arrays differ in length, a label is no class or has no training share, rows of the shares
        or of a posterior are no probabilities, groups are not the donors, or there is only one
        class or one group.
    """
    held_out.check()
    estimate = Estimate.of(held_out, max_clusters)
    bits = estimate.quantities(np.arange(len(estimate.loss)))
    table = pd.Series(bits).rename_axis(["method", "quantity"]).reset_index(name="bits")
    probes = held_out.probes
    table["probe"] = [probes.get((m, q), probes.get((m, "I"), "")) for m, q in bits]
    donors = len(np.unique(held_out.donors))
    if donors >= MIN_DONORS:
        _add_intervals(table, estimate, held_out)
    else:
        table = table.assign(low=np.nan, high=np.nan, note=not_testable(donors))
    losses = estimate.quantization_losses()
    if shortfalls := "; ".join(filter(None, losses["note"])):
        table.loc[table["quantity"].isin(_PARTS), "note"] = shortfalls
    rows, columns = table["quantity"].isin(_NONNEGATIVE), ["bits", "low", "high"]
    table.loc[rows, columns] = table.loc[rows, columns].clip(lower=0)
    table = pd.concat([table, losses.assign(probe="")], ignore_index=True)
    return table.assign(n_donors=donors)[COLUMNS]


def _add_intervals(table: pd.DataFrame, estimate: Estimate, held_out: HeldOutPosteriors) -> None:
    """Add the columns `low, high` and `note` to a table of the estimates from all donors."""
    groups = np.arange(len(estimate.loss))
    without = [list(estimate.quantities(np.delete(groups, g)).values()) for g in groups]
    interval = jackknife_t(table["bits"].to_numpy(), np.array(without)).widened(
        np.sqrt(inflation(len(groups), cross_validated=held_out.cross_validated))
    )
    part, unchanged = table["quantity"].isin(_PARTS), np.isnan(interval.low)
    allowance = np.where(part, _ALLOWANCE / np.sqrt(len(held_out.y) / len(groups)), 0)
    fixed = part & unchanged
    table["low"] = np.where(fixed, table["bits"], interval.low) - allowance
    table["high"] = np.where(fixed, table["bits"], interval.high) + allowance
    table["note"] = np.select(
        [fixed, unchanged],
        [
            "the same without any donor: the interval is the allowance for the probes' error",
            "the same without any donor: no interval",
        ],
        "",
    )
