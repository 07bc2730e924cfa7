"""Judge representations in a table of your own: two embeddings, labels, donors, one `.h5ad`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, Shaped
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.config import Config, load, suggest, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic
from cell_synergy.core.labels import as_names
from cell_synergy.core.names import CONTROLS
from cell_synergy.data.classes import classes
from cell_synergy.data.config import TAKEN, ClassificationTask, Names
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.obsm import embedding, places
from cell_synergy.data.partial import read_part
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import Representation, judge, pair_and_parts
from cell_synergy.downstream.information.decompose import PAIR, InformationConfig
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.raw.build import Rules
from cell_synergy.scoring.tables import ALL_FOLDS, sis_table

CLASSES = ClassificationTask(kind="classification")


class Own(Config):
    """What the table calls things.

    Attributes
    ----------
    units
        The `.h5ad`.
    image, expression
        `obsm` keys of the two single-modality embeddings.
    joint
        `obsm` keys of fused embeddings to judge, separated by commas; the concatenation is judged
        in any case.
    label
        `obs` columns to predict, separated by commas.
    donor
        `obs` column of the donor; each is left out in turn.
    standardise
        `train`: features are scaled with the training donors; `donor`: with each donor's own
        units, where donors differ by more than labels do.
    out
        The SIS table to write; the scores it comes from stand beside it, and what the embeddings
        hold in bits.
    """

    units: Path
    image: str
    expression: str
    joint: Names = ()
    label: Names
    donor: str
    standardise: Literal["train", "donor"] = "train"
    out: Path = Path("runs/sis.csv")


def run(words: dict[str, Any]) -> Path:
    """Judge both embeddings, their concatenation and every fused one; write the SIS."""
    own = validate(Own, words, "argument")
    use_threads(value("threads"))
    table = read_table(own.units, {own.image, own.expression, *own.joint})
    paired = tissue_of(own, table)
    tasks = dict.fromkeys(own.label, CLASSES)
    probe = load(ProbeConfig, "probe")
    judged = {
        name: judge(name, paired, tasks, [0], represent, probe)
        for name, represent in representations(own, table, paired).items()
    }
    scores = pd.concat(found.scores for found in judged.values())
    posteriors = {name: found.posteriors for name, found in judged.items()}
    cells = load(InformationConfig, "information").cells
    bits = information(paired.adata, paired.groups, paired.folds, tasks, posteriors, cells)
    own.out.parent.mkdir(parents=True, exist_ok=True)
    tables = {"-scores": scores, "-information": bits, "": sis_table(scores)}
    for ending, found in tables.items():
        with atomic(own.out.with_name(f"{own.out.stem}{ending}{own.out.suffix}")) as new:
            found.to_csv(new, index=False, float_format="%.6g")
    return own.out


def representations(
    own: Own, table: ad.AnnData, paired: PairedDataset
) -> dict[str, Representation]:
    """Return what is judged, by name."""
    found = pair_and_parts(paired)
    for key in own.joint:
        if key in (own.image, own.expression):
            raise DataError(f"joint={key}: this expert is judged in any case; leave it out")
        if key in found or key in (PAIR, *CONTROLS):
            raise DataError(f"joint={key}: this name is taken; rename obsm[{key!r}]")
        z = _embedding(table, key, own.units)
        found[key] = lambda _fold, _seed, z=z: z  # type: ignore[misc]
    return found


def tissue_of(own: Own, table: ad.AnnData) -> PairedDataset:
    """Return the table as probes see it, each donor left out in turn."""
    _refuse_words(own)
    if table.n_obs == 0:
        raise DataError(f"{own.units}: no units; write the table again")
    donor = _donors(own, table)
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=table.obs_names)
    for label in own.label:
        obs[label] = _classes(table, label, donor, own.units)
    units = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    units.obsm["spatial"] = _places(table, own.units)
    units.uns["source"] = own.units.stem
    folds = [Fold(name, donor != name, donor != name, donor == name) for name in sorted(set(donor))]
    image, expression = (_embedding(table, k, own.units) for k in (own.image, own.expression))
    if own.standardise == "donor":
        for key, x in ((own.image, image), (own.expression, expression)):
            _refuse_donors_alone(x, donor, f"{own.units}: obsm[{key!r}]")
    if np.array_equal(image, expression):
        tqdm.write(
            f"{own.units}: obsm[{own.image!r}] and obsm[{own.expression!r}] hold the same numbers"
        )
    return PairedDataset(units, image, expression, donor, donor, folds, own.standardise)


def _refuse_words(own: Own) -> None:
    """Refuse words that contradict each other."""
    if own.image == own.expression:
        raise DataError(
            f"image={own.image} and expression={own.expression} are the same; name the embeddings "
            "of both experts"
        )
    for label in own.label:
        if label == own.donor:
            raise DataError(
                f"label={label} is also the donor, which nobody can tell of a donor who is left "
                "out; name another label"
            )
        if label in TAKEN:
            raise DataError(f"label={label}: this name is taken; rename the column of obs")


def _donors(own: Own, table: ad.AnnData) -> Shaped[np.ndarray, " obs"]:
    """Return the donor of every unit, each spelt in one way."""
    where = f"{own.units}: obs[{own.donor!r}]"
    donor = as_names(column_of(table, own.donor, own.units), "donor", where).to_numpy()
    names = sorted(set(donor))
    if len(names) > max(2, len(donor) / 2):
        raise DataError(
            f"{where} has {len(names)} donors for {len(donor)} units, so that most have one unit; "
            "name the column of the person or animal"
        )
    if len(names) < 2:  # noqa: PLR2004 - one to learn from and one to judge by
        raise DataError(
            f"{where} has one donor, {names[0]!r}; a score needs donors that the probe has not "
            "seen: two at least, and five for an interval (sections of one donor are no unseen "
            "donors; a data set in params.yaml may have the split leave-one-section-out)"
        )
    if ALL_FOLDS in names:
        raise DataError(f"{where}: a donor called {ALL_FOLDS!r} means all donors; rename it")
    return donor


def _places(table: ad.AnnData, where: Path) -> Float64[np.ndarray, "obs 2"]:
    """Return coordinates, or the order of rows: they only say which units lie side by side."""
    if "spatial" in table.obsm:
        return places(table.obsm["spatial"], table.obs_names, f"{where}: obsm['spatial']")
    order = np.arange(table.n_obs, dtype=np.float64)
    return np.column_stack([order, np.zeros_like(order)])


def _classes(
    table: ad.AnnData, label: str, donor: Shaped[np.ndarray, " obs"], where: Path
) -> "pd.Series[Any]":
    """Return the labels as classes; too rare ones are no labels, as in the study."""
    column = column_of(table, label, where)
    what = f"{where}: obs[{label!r}]"
    return classes(column, pd.Series(donor), CLASSES, load(Rules, "pairs"), what)


def read_table(path: Path, keys: Collection[str] | None = None) -> ad.AnnData:
    """Read `obs`, and of `obsm` these keys and places; nothing else, for counts may be large."""
    return read_part(path, keys, ["spatial"])


def column_of(table: ad.AnnData, name: str, where: Path) -> "pd.Series[Any]":
    """Return a column of `obs`."""
    if name not in table.obs:
        raise DataError(f"{where}: no obs[{name!r}]{suggest(name, table.obs.columns)}")
    column: pd.Series[Any] | pd.DataFrame = table.obs[name]
    if isinstance(column, pd.DataFrame):
        raise DataError(f"{where}: obs has {name!r} {column.shape[1]} times; keep one")
    return column


def _embedding(table: ad.AnnData, key: str, where: Path) -> Float32[np.ndarray, "obs d"]:
    if key not in table.obsm:
        raise DataError(f"{where}: no obsm[{key!r}]{suggest(key, table.obsm)}")
    return embedding(table.obsm[key], table.obs_names, f"{where}: obsm[{key!r}]")


def _refuse_donors_alone(
    x: Float32[np.ndarray, "obs d"], donor: Shaped[np.ndarray, " obs"], where: str
) -> None:
    """Refuse what is the same for all units of a donor, if it is scaled with each donor's own."""
    if not standardise(x, np.ones(len(x), dtype=bool), donor, "donor").any():
        raise DataError(
            f"{where} is the same for all units of a donor, and standardise=donor takes that away; "
            "use standardise=train"
        )
