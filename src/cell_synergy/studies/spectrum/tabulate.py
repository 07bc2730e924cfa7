"""Everything about one data set's spectrum in one tidy table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, Int
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.random import stream
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.remarks import remarked
from cell_synergy.data.splits import Fold, held
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import Chosen
from cell_synergy.scoring.inference import LEAST_DONORS, inflation, paired_t
from cell_synergy.studies.spectrum.ceiling_scores import ceiling_scores, compare
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.correlations import (
    Shared,
    Spectrum,
    Within,
    held_out,
    null,
    spectrum,
)
from cell_synergy.studies.spectrum.retention import Reader, targets

FEATURES, AXES = "features", "axes"  # where directions are looked for
OWN, SHUFFLED = "own", "shuffled"
NOT_ESTIMABLE = "not estimable: p + q >= n"
COLUMNS = [
    "dataset", "quantity", "space", "pairs", "fraction", "rank", "method", "seed", "task",
    "metric", "value", "low", "high", "p_corrected", "verdict", "n_donors", "note",
]  # fmt: skip

_KEYS = COLUMNS[1:10]
_ALL = "all"
_WHOLE = 100.0  # per cent
_LEAST = 2  # units of a donor that vary about their mean

Rows = list[dict[str, object]]
Embed = Callable[[str, Fold, int], Float32[np.ndarray, "obs d"]]


def tabulate(
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    seeds: Mapping[str, Sequence[int]],
    embed: Embed,
    scores: pd.DataFrame,
    settings: SpectrumConfig,
    probe: ProbeConfig,
    kept_back: float,
) -> pd.DataFrame:
    """Return the spectrum, what each method keeps of it, and where the methods' scores stand.

    Parameters
    ----------
    tissue, tasks
        The data set.
    seeds
        Of each method.
    embed
        Returns the joint embedding of all units, given method, fold and seed.
    scores
        Tidy scores of all methods.
    settings, probe
        Sections of params.yaml.
    kept_back
        Share of each training section that no method learns from, nor the spectrum.

    Returns
    -------
    :
        Rows of `COLUMNS`, means over folds. Of the spectrum, per `space` (all `features`, or the
        leading principal `axes`), `pairs` (own, or shuffled within donors) and `fraction` of the
        training pairs, in per cent: `freedom`, pairs less donors; `edge` of noise;
        `largest_shuffled`, the largest correlation of all shuffles; `directions` above both;
        `ceiling`, the sum of squared sample correlations; `ceiling_corrected`; `ceiling_held_out`,
        of the correlations on test donors, each squared with its sign. Per `rank`: `correlation`,
        `corrected`, `held_out`, and
        `shuffled`, the mean over shuffles. Of methods: `shared`, `unique_image`,
        `unique_expression`, the shares kept, per seed and over all. Of tasks: `score`,
        `over_ceiling` (see `compare`). What is not estimable is empty, and the note says so; where
        all pairs of a fold are too few to say what is shared, methods and tasks are left out.
        Intervals are over donors; `held_out` and shares have them from five donors on.
    """
    in_turn = len(paired.folds) > 1
    spectra, found = _of_folds(paired, settings, kept_back)
    if len(found) < len(paired.folds):
        return _table(paired, [_means(list(chain(*spectra.values())), in_turn)])
    rows: Rows = []
    for fold in paired.folds:
        every = Within.of(*paired.standardised(fold), paired.donor)
        wanted = targets(found[fold.name], every, settings.axes)
        rows += spectra[fold.name]
        rows += list(_kept(Reader(paired, fold, wanted, probe), seeds, embed))

    def variates(fold: Fold, _: int) -> Float32[np.ndarray, "obs d"]:
        return found[fold.name].variates(*paired.standardised(fold))

    ceiling = ceiling_scores(paired, tasks, variates, probe)
    return _table(paired, [_means(rows, in_turn), compare(ceiling, scores)])


def _of_folds(
    paired: PairedDataset, settings: SpectrumConfig, kept_back: float
) -> tuple[dict[str, Rows], dict[str, Shared]]:
    """Return the spectra of each fold, and what both show, of folds with enough pairs."""
    spectra: dict[str, Rows] = {}
    found: dict[str, Shared] = {}
    for fold in paired.folds:
        every = Within.of(*paired.standardised(fold), paired.donor)
        train = np.flatnonzero(fold.align & ~held(paired.adata, fold.align, kept_back))
        spectra[fold.name] = list(_spectra(every, fold, train, settings))
        try:
            found[fold.name] = shared(every.some(train), settings, fold)
        except DataError as error:  # too few pairs for so many axes
            tqdm.write(
                f"{paired.adata.uns['source']}: {error}; what methods keep and the ceiling's "
                "scores are left out"
            )
    return spectra, found


def _table(paired: PairedDataset, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the parts under each other, in the columns of all spectra."""
    table = pd.concat([part for part in parts if len(part)])
    table = table.assign(dataset=paired.adata.uns["source"]).reindex(columns=COLUMNS)
    return remarked(table, paired.adata.uns)


def shared(pairs: Within, settings: SpectrumConfig, fold: Fold) -> Shared:
    """Return the directions of all training pairs, in their leading axes, that are not noise.

    Raises
    ------
    DataError
        If there are too many axes for the pairs.
    """
    sample = spectrum(pairs, settings.axes)
    if not sample.estimable:
        raise DataError(
            f"fold {fold.name!r}: {len(pairs.donor)} training pairs tell nothing of "
            f"{sample.p} + {sample.q} axes; set spectrum.axes lower"
        )
    noise = _noise(pairs, settings.axes, settings, fold, _WHOLE)
    return sample.shared(max(sample.edge, float(noise[:, 0].max())))


def _spectra(
    every: Within, fold: Fold, train: Int[np.ndarray, " train"], settings: SpectrumConfig
) -> Iterator[dict[str, object]]:
    """Yield the spectra of each fraction of the training pairs."""
    order = stream(settings.seed, "fractions", fold.name).permutation(train)
    test = every.some(np.flatnonzero(fold.test))
    for fraction in settings.fractions:
        some = every.some(_nested(order, every.donor, fraction))
        shuffles = stream(settings.seed, "shuffled pairs", fold.name, str(fraction))
        both = {OWN: some, SHUFFLED: some.shuffled(shuffles)}
        for space, axes in {FEATURES: None, AXES: settings.axes}.items():
            noise = _noise(some, axes, settings, fold, fraction)
            for name, pairs in both.items():
                place = {"space": space, "pairs": name, "fraction": fraction}
                for row in _of_one(spectrum(pairs, axes), noise, test, settings.ranks, name == OWN):
                    yield place | row


def _of_one(
    sample: Spectrum,
    noise: Float64[np.ndarray, "permutations k"],
    test: Within,
    ranks: int,
    ranked: bool,
) -> Iterator[dict[str, object]]:
    """Yield what one spectrum says, over all ranks and, if `ranked`, of each."""
    top = float(noise[:, 0].max()) if sample.estimable else np.nan
    corrected = sample.corrected(max(sample.edge, top))
    asked = held_out(sample, test)
    signed = {donor: float((r * abs(r)).sum()) for donor, r in asked.items()}
    known = {
        "freedom": float(sample.freedom), "edge": sample.edge, "largest_shuffled": top,
        "ceiling": float((sample.correlations**2).sum()),
        "directions": float((corrected > 0).sum()) if sample.estimable else np.nan,
        "ceiling_corrected": float((corrected**2).sum()),
    }  # fmt: skip
    yield from ({"quantity": name, "value": value} for name, value in known.items())
    for donor, value in signed.items():
        yield {"quantity": "ceiling_held_out", "donor": donor, "value": value}
    for place in range(min(ranks, len(corrected)) if ranked else 0):
        rank = {"rank": place + 1}
        yield rank | {"quantity": "correlation", "value": sample.correlations[place]}
        yield rank | {"quantity": "corrected", "value": corrected[place]}
        mean = noise[:, place].mean() if sample.estimable else np.nan
        yield rank | {"quantity": "shuffled", "value": mean}
        for donor, values in asked.items():
            yield rank | {"quantity": "held_out", "donor": donor, "value": values[place]}


def _noise(
    pairs: Within, axes: int | None, settings: SpectrumConfig, fold: Fold, fraction: float
) -> Float64[np.ndarray, "permutations k"]:
    """Return correlations of shuffles, none where they could not tell anything from noise."""
    if not spectrum(pairs, axes).estimable:
        return np.zeros((0, 0))
    draws = stream(settings.seed, "permutations", fold.name, str(fraction))
    return null(pairs, axes, settings.permutations, draws)


def _kept(
    reader: Reader, seeds: Mapping[str, Sequence[int]], embed: Embed
) -> Iterator[dict[str, object]]:
    """Yield what each method's joint embedding keeps, per seed and donor, and over seeds."""
    for method, own in seeds.items():
        chosen: dict[str, Chosen] = {}
        for seed in own:
            shares = reader.kept(embed(method, reader.fold, seed), chosen)
            for quantity, values in shares.items():
                for donor, value in values.items():
                    row = {"quantity": quantity, "method": method, "donor": donor, "value": value}
                    yield row | {"seed": str(seed)}
                    yield row | {"seed": _ALL}


def _nested(order: np.ndarray, donor: np.ndarray, fraction: float) -> np.ndarray:
    """Return the first units of each donor in a random order: some per cent, at least two."""
    parts = []
    for name in np.unique(donor[order]):
        own = order[donor[order] == name]
        parts.append(own[: max(round(fraction / _WHOLE * len(own)), _LEAST)])
    return np.sort(np.concatenate(parts))


def _means(rows: Rows, in_turn: bool) -> pd.DataFrame:
    """Average folds, and donors with an interval."""
    table = pd.DataFrame(rows, columns=[*_KEYS, "donor", "value"])
    keys = [*_KEYS, "donor"]
    table[keys] = table[keys].astype(object).where(table[keys].notna(), "")
    donors = table.groupby(keys, sort=False)["value"].mean().reset_index("donor")
    found = []
    for key, own in donors.groupby(_KEYS, sort=False):
        row: dict[str, object] = dict(zip(_KEYS, key, strict=True))
        values = own["value"].to_numpy()
        row["value"] = values.mean()
        if own["donor"].iloc[0]:
            row |= _interval(values, in_turn)
        elif np.isnan(values).any():
            row["note"] = NOT_ESTIMABLE
        found.append(row)
    return pd.DataFrame(found)


def _interval(values: Float64[np.ndarray, " donors"], in_turn: bool) -> dict[str, object]:
    count = len(values)
    if count < LEAST_DONORS:
        return {"n_donors": count, "note": f"not testable: {count} donors, {LEAST_DONORS} needed"}
    interval = paired_t(values[:, None])
    interval = interval.widened(np.sqrt(inflation(count, in_turn=in_turn)))
    return {"n_donors": count, "low": interval.low[0], "high": interval.high[0]}
