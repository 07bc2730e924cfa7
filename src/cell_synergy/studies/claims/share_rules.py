"""Rules for claims about what embeddings retain of shared and unique content."""

from cell_synergy.studies.claims.evidence import (
    ClaimsConfig,
    Finding,
    Tables,
    if_holds,
    no_method,
)
from cell_synergy.studies.claims.outcomes import NOT_TESTED

_UNIQUE = "unique_image", "unique_expression"
_UNALIGNED = "random", "shuffled"


def redundancy(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: aligned methods retain more shared than unique content.

    For each method the 95 % interval over donors of the explained variance of the canonical
    variates must be above the intervals for the residuals of both embeddings, and above those of a
    random projection and of the method trained on shuffled pairs for the canonical variates: these
    align nothing, and retain more shared than unique content too, since the leading directions of
    both embeddings are shared. All aligned methods must pass, so that no interval needs a
    correction for their number. In theory the claim is true of linear heads that are no wider than
    the shared directions; wider ones keep unique directions as well, which the claim on the ceiling
    shows task by task.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if not (aligned := tables.aligned(claims)):
        return no_method(claims.aligned)
    shares = tables.retained_shares()
    if isinstance(shares, str):
        return Finding(NOT_TESTED, shares)
    means, low, high = (shares[column].loc[aligned] for column in ("value", "low", "high"))
    unaligned = [name for name in _UNALIGNED if name in shares["value"].index]
    by_chance = shares["high"].loc[unaligned, "shared"].max() if unaligned else float("-inf")
    holds = low["shared"] > high[list(_UNIQUE)].max(axis=1).clip(lower=by_chance)
    ranges = [
        f"{means[name].min():.2f} to {means[name].max():.2f}" for name in ("shared", *_UNIQUE)
    ]
    parts = shares["value"].loc[unaligned, ["shared", *_UNIQUE]].to_numpy()
    controls = "".join(
        f"; {name} {both:.2f}, {image:.2f}, {expression:.2f}"
        for name, (both, image, expression) in zip(unaligned, parts, strict=True)
    )
    return if_holds(
        bool(holds.all()),
        f"{holds.sum()} of {len(holds)} aligned methods; share kept of what both show {ranges[0]}, "
        f"of what the image alone shows {ranges[1]}, expression {ranges[2]}{controls}",
    )


def captured(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: `claims.redundant` (SimCLR) retains mainly shared content.

    Supported if the 95 % interval over donors of its explained variance (1 = all; may be negative)
    of the canonical variates is above the interval of the control `shuffled`, trained on shuffled
    pairs, and above its own intervals for the residuals of both embeddings.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if absent := [n for n in (claims.redundant, "shuffled") if n not in tables.methods]:
        return no_method(absent)
    shares = tables.retained_shares()
    if isinstance(shares, str):
        return Finding(NOT_TESTED, shares)
    low, high, value = (shares[column] for column in ("low", "high", "value"))
    method, null = value.loc[claims.redundant], value.loc["shuffled"]
    unique_high = high.loc[claims.redundant, list(_UNIQUE)]
    limit = max(high.loc["shuffled", "shared"], *unique_high)
    return if_holds(
        bool(low.loc[claims.redundant, "shared"] > limit),
        f"{claims.redundant} keeps {method['shared']:.2f} of what both show (shuffled pairs "
        f"{null['shared']:.2f}), {method['unique_image']:.2f} and "
        f"{method['unique_expression']:.2f} of "
        "what image and expression alone show",
    )
