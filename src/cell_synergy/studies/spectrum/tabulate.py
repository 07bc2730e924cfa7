"""Tidy table of the spectral results of one data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, Int
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import MIN_DONORS
from cell_synergy.core.random import stream
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.remarks import add_remark
from cell_synergy.data.splits import Fold, draw_validation_mask
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Embedding
from cell_synergy.downstream.probes.tasks import Selection
from cell_synergy.scoring.inference import donor_interval, not_testable
from cell_synergy.studies.spectrum.ceiling_scores import ceiling_scores, compare
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.correlations import (
    CentredPairs,
    SharedDirections,
    Spectrum,
    held_out_correlations,
    permutation_null,
    spectrum,
)
from cell_synergy.studies.spectrum.retention import RetentionProbe, retention_targets

FEATURES, AXES = "features", "axes"  # values of the column `space`
OWN, SHUFFLED = "own", "shuffled"  # values of the column `pairs`
NOT_ESTIMABLE = "not estimable: p + q >= n"
COLUMNS = [
    "dataset", "quantity", "space", "pairs", "fraction", "rank", "method", "seed", "task",
    "metric", "value", "low", "high", "p_corrected", "verdict", "n_donors", "note",
]  # fmt: skip

_KEYS = COLUMNS[1:10]
_ALL_SEEDS = "all"
_ALL_PAIRS = 100.0  # per cent
_MIN_PER_DONOR = 2  # observations, so that centred features vary

Rows = list[dict[str, object]]
Embed = Callable[[str, Fold, int], Embedding]


def tabulate(
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    seeds: Mapping[str, Sequence[int]],
    embed: Embed,
    scores: pd.DataFrame,
    config: SpectrumConfig,
    probe: ProbeConfig,
    validation_share: float,
) -> pd.DataFrame:
    """Return the spectrum, the shares that each method retains, and comparisons with the ceiling.

    Parameters
    ----------
    paired, tasks
        The data set, and its tasks by name.
    seeds, embed
        Seeds by method; function from method, fold and seed to the embedding of all observations.
    scores
        Tidy scores of all methods.
    config, probe, validation_share
        Configurations of the spectral analysis and of the probes; fraction (0 to 1) of each
        training section on which neither the methods nor the spectrum are fitted.

    Returns
    -------
    Columns `COLUMNS`; each `quantity` has a `value`, the mean over folds and donors. For each
    `space` (all `features`, or the leading principal `axes`), `pairs` (own, or shuffled within
    donors) and `fraction` of the training pairs in per cent: `freedom`, pairs minus donors; `edge`,
    the Wachter edge; `largest_shuffled`, the largest correlation of all permutations; `directions`,
    the number of correlations above both; `ceiling`, the sum of squared sample correlations;
    `ceiling_corrected`, that of estimated population correlations; `ceiling_held_out`, the sum of
    signed squared correlations on test donors; by `rank`, `correlation`, `corrected`, `held_out`
    and `shuffled`, the mean over permutations. By method, per seed and over all seeds: the retained
    shares `shared`, `unique_image`, `unique_expression`; by task, `score` and `over_ceiling` (see
    `compare`). Values that cannot be estimated are empty, with a note; with too few pairs in a fold
    methods and tasks are left out. Intervals are over donors, from five donors on.

    Raises
    ------
    DataError
        If methods were not scored on the same donors, a task has no labelled training or test
        observation, or no feature of a modality varies within donors.
    """
    cross_validated = len(paired.folds) > 1
    spectra, directions = _fit_folds(paired, config, validation_share)
    if len(directions) < len(paired.folds):
        return _assemble(paired, [_average(list(chain(*spectra.values())), cross_validated)])
    rows: Rows = []
    for fold in paired.folds:
        pairs = CentredPairs.of(*paired.standardised(fold), paired.donor)
        targets = retention_targets(directions[fold.name], pairs, config.axes)
        rows += spectra[fold.name]
        rows += list(_retention_rows(RetentionProbe(paired, fold, targets, probe), seeds, embed))

    def variates(fold: Fold, _: int) -> Float32[np.ndarray, "obs d"]:
        return directions[fold.name].variates(*paired.standardised(fold))

    ceiling = ceiling_scores(paired, tasks, variates, probe)
    return _assemble(paired, [_average(rows, cross_validated), compare(ceiling, scores)])


def _fit_folds(
    paired: PairedDataset, config: SpectrumConfig, validation_share: float
) -> tuple[dict[str, Rows], dict[str, SharedDirections]]:
    """Return the spectra of each fold, and the shared directions of folds with enough pairs."""
    spectra: dict[str, Rows] = {}
    directions: dict[str, SharedDirections] = {}
    for fold in paired.folds:
        pairs = CentredPairs.of(*paired.standardised(fold), paired.donor)
        train = np.flatnonzero(
            fold.align & ~draw_validation_mask(paired.adata, fold.align, validation_share)
        )
        spectra[fold.name] = list(_spectrum_rows(pairs, fold, train, config))
        try:
            directions[fold.name] = shared(pairs.subset(train), config, fold)
        except DataError as error:  # too few pairs for the number of axes
            tqdm.write(
                f"{paired.adata.uns['source']}: {error}; the shares that methods retain and the "
                "scores of the ceiling are left out"
            )
    return spectra, directions


def _assemble(paired: PairedDataset, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate parts of the table and give them the common columns."""
    table = pd.concat([part for part in parts if len(part)])
    table = table.assign(dataset=paired.adata.uns["source"]).reindex(columns=COLUMNS)
    return add_remark(table, paired.adata.uns)


def shared(pairs: CentredPairs, config: SpectrumConfig, fold: Fold) -> SharedDirections:
    """Return canonical directions with correlations above the Wachter edge and all permutations.

    Parameters
    ----------
    pairs
        Training pairs of the fold; their leading principal axes are analysed.
    config
        Configuration of the spectral analysis.
    fold
        The fold, whose name selects the random stream of the permutations.

    Raises
    ------
    DataError
        If there are too few pairs for the number of axes.
    """
    sample = spectrum(pairs, config.axes)
    if not sample.estimable:
        raise DataError(
            f"fold {fold.name!r}: {len(pairs.donor)} training pairs are too few for "
            f"{sample.p} + {sample.q} axes; set spectrum.axes lower"
        )
    noise = _null_correlations(pairs, config.axes, config, fold, _ALL_PAIRS)
    return sample.shared(max(sample.edge, float(noise[:, 0].max())))


def _spectrum_rows(
    pairs: CentredPairs, fold: Fold, train: Int[np.ndarray, " train"], config: SpectrumConfig
) -> Iterator[dict[str, object]]:
    """Yield the rows of the spectra of each fraction of the training pairs."""
    order = stream(config.seed, "fractions", fold.name).permutation(train)
    test = pairs.subset(np.flatnonzero(fold.test))
    for fraction in config.fractions:
        subset = pairs.subset(_nested_subset(order, pairs.donor, fraction))
        rng = stream(config.seed, "shuffled pairs", fold.name, str(fraction))
        samples = {OWN: subset, SHUFFLED: subset.permuted(rng)}
        for space, axes in {FEATURES: None, AXES: config.axes}.items():
            noise = _null_correlations(subset, axes, config, fold, fraction)
            for name, sample in samples.items():
                key = {"space": space, "pairs": name, "fraction": fraction}
                ranks = config.ranks if name == OWN else 0
                for row in _sample_rows(spectrum(sample, axes), noise, test, ranks):
                    yield key | row


def _sample_rows(
    sample: Spectrum, noise: Float64[np.ndarray, "permutations k"], test: CentredPairs, ranks: int
) -> Iterator[dict[str, object]]:
    """Yield the rows of one spectrum: over all ranks, and of each of the leading `ranks`."""
    largest = float(noise[:, 0].max()) if sample.estimable else np.nan
    corrected = sample.corrected(max(sample.edge, largest))
    held_out = held_out_correlations(sample, test)
    totals = {
        "freedom": float(sample.freedom), "edge": sample.edge, "largest_shuffled": largest,
        "ceiling": float((sample.correlations**2).sum()),
        "directions": float((corrected > 0).sum()) if sample.estimable else np.nan,
        "ceiling_corrected": float((corrected**2).sum()),
    }  # fmt: skip
    yield from ({"quantity": name, "value": value} for name, value in totals.items())
    for donor, values in held_out.items():
        total = float((values * abs(values)).sum())
        yield {"quantity": "ceiling_held_out", "donor": donor, "value": total}
    for index in range(min(ranks, len(corrected))):
        rank = {"rank": index + 1}
        yield rank | {"quantity": "correlation", "value": sample.correlations[index]}
        yield rank | {"quantity": "corrected", "value": corrected[index]}
        mean = noise[:, index].mean() if sample.estimable else np.nan
        yield rank | {"quantity": "shuffled", "value": mean}
        for donor, values in held_out.items():
            yield rank | {"quantity": "held_out", "donor": donor, "value": values[index]}


def _null_correlations(
    pairs: CentredPairs, axes: int | None, config: SpectrumConfig, fold: Fold, fraction: float
) -> Float64[np.ndarray, "permutations k"]:
    """Return the correlations of all permutations; an empty array if they are not estimable."""
    if not spectrum(pairs, axes).estimable:
        return np.zeros((0, 0))
    rng = stream(config.seed, "permutations", fold.name, str(fraction))
    return permutation_null(pairs, axes, config.permutations, rng)


def _retention_rows(
    probe: RetentionProbe, seeds: Mapping[str, Sequence[int]], embed: Embed
) -> Iterator[dict[str, object]]:
    """Yield the shares that each method's joint embedding retains, per seed and over all seeds."""
    for method, method_seeds in seeds.items():
        selections: dict[str, Selection] = {}
        for seed in method_seeds:
            shares = probe.explained(embed(method, probe.fold, seed), selections)
            for quantity, values in shares.items():
                for donor, value in values.items():
                    row = {"quantity": quantity, "method": method, "donor": donor, "value": value}
                    yield row | {"seed": str(seed)}
                    yield row | {"seed": _ALL_SEEDS}


def _nested_subset(order: np.ndarray, donor: np.ndarray, fraction: float) -> np.ndarray:
    """Return a percentage of each donor's observations, at least two, the first in `order`."""
    parts = []
    for name in np.unique(donor[order]):
        rows = order[donor[order] == name]
        parts.append(rows[: max(round(fraction / _ALL_PAIRS * len(rows)), _MIN_PER_DONOR)])
    return np.sort(np.concatenate(parts))


def _average(rows: Rows, cross_validated: bool) -> pd.DataFrame:
    """Return means over folds and then over donors, with intervals over donors."""
    table = pd.DataFrame(rows, columns=[*_KEYS, "donor", "value"])
    keys = [*_KEYS, "donor"]
    table[keys] = table[keys].astype(object).where(table[keys].notna(), "")
    donors = table.groupby(keys, sort=False)["value"].mean().reset_index("donor")
    means = []
    for key, group in donors.groupby(_KEYS, sort=False):
        row: dict[str, object] = dict(zip(_KEYS, key, strict=True))
        values = group["value"].to_numpy()
        row["value"] = values.mean()
        if group["donor"].iloc[0]:
            row |= _interval(values, cross_validated)
        elif np.isnan(values).any():
            row["note"] = NOT_ESTIMABLE
        means.append(row)
    return pd.DataFrame(means)


def _interval(values: Float64[np.ndarray, " donors"], cross_validated: bool) -> dict[str, object]:
    """Return the number of donors, and the interval of their mean or a note."""
    donors = len(values)
    if donors < MIN_DONORS:
        return {"n_donors": donors, "note": not_testable(donors)}
    interval = donor_interval(values[:, None], cross_validated=cross_validated)
    return {"n_donors": donors, "low": interval.low[0], "high": interval.high[0]}
