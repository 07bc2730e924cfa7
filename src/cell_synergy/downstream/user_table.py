"""Score the embeddings of a user's table: one `.h5ad` with labels and donors of observations."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, Shaped
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_names
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import CONTROLS, is_control
from cell_synergy.data.classes import ClassRule, as_classes
from cell_synergy.data.config import RESERVED_NAMES, ClassificationTask
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.naming import Names
from cell_synergy.data.obsm import as_coords, as_embedding
from cell_synergy.data.partial import read_obs_and_obsm
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import Representation, baseline_representations, evaluate
from cell_synergy.downstream.information.held_out import PAIR
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.method_scores import write_tables
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.scoring.tables import ALL_FOLDS, sis_table

CLASSES = ClassificationTask(kind="classification")


class UserTableConfig(Config):
    """File, keys and columns of a user's table.

    Attributes
    ----------
    units
        The `.h5ad` file.
    image, expression
        `obsm` keys of the two single-modality embeddings.
    joint
        `obsm` keys of fused embeddings to score beside the concatenation, separated by commas.
    label
        `obs` columns to predict, separated by commas.
    donor
        `obs` column of the donor; each donor is held out in turn.
    estimator
        Estimators of scikit-learn's kind that are further probes, as `package.module:Name`,
        separated by commas.
    standardise
        `train`: features are standardised by the training donors; `donor`: within each donor, for
        data whose donors differ more than their labels do.
    out
        The SIS table to write. Scores and the information decomposition are written beside it.
    """

    units: Path
    image: str
    expression: str
    joint: Names = ()
    label: Names
    donor: str
    estimator: Names = ()
    standardise: Literal["train", "donor"] = "train"
    out: Path = Path("runs/sis.csv")


def write_table_scores(
    config: UserTableConfig, probe: ProbeConfig, cells: int, rule: ClassRule,
    estimators: Mapping[str, Any],
) -> None:  # fmt: skip
    """Score both embeddings, their concatenation and every fused one; write the tables of `out`.

    Parameters
    ----------
    config, probe
        Input file with its keys and columns, and output path; configuration of the probes.
    cells, rule
        Maximal number of clusters of a modality's posteriors, for the information decomposition;
        minimum frequency of a class.
    estimators
        The estimators that `config.estimator` names, by the names of their probes.

    Raises
    ------
    DataError
        If a column or an embedding is missing or not valid, or no test observation has a label.
    """
    adata = read_table(config.units, {config.image, config.expression, *config.joint})
    paired = paired_dataset(config, adata, rule)
    tasks = dict.fromkeys(config.label, CLASSES)
    evaluations = {
        name: evaluate(name, paired, tasks, [0], represent, probe, estimators)
        for name, represent in representations(config, adata, paired).items()
    }
    scores = pd.concat(evaluation.scores for evaluation in evaluations.values())
    posteriors = {name: evaluation.posteriors for name, evaluation in evaluations.items()}
    bits = information(paired.adata, paired.groups, paired.folds, tasks, posteriors, cells)
    write_tables(config.out, {"-scores": scores, "-information": bits, "": sis_table(scores)})


def representations(
    config: UserTableConfig, adata: ad.AnnData, paired: PairedDataset
) -> dict[str, Representation]:
    """Return both experts' embeddings, their concatenation and every fused embedding, by name.

    Each is a function from fold and seed to the representation of all observations.

    Parameters
    ----------
    config, adata, paired
        Keys of the embeddings, the user's table, and the same table as a paired data set.

    Raises
    ------
    DataError
        If a fused embedding is missing or invalid, or its name is reserved or already taken.
    """
    by_name = baseline_representations(paired)
    for key in config.joint:
        if key in (config.image, config.expression):
            raise DataError(f"joint={key}: this expert is always scored; leave it out")
        if key in by_name or key in (PAIR, *CONTROLS):
            raise DataError(f"joint={key}: this name is taken; rename obsm[{key!r}]")
        if is_control(key) and key.rpartition("_")[0] not in config.joint:
            raise DataError(
                f"joint={key}: a name that ends in _image or _expression is a control, the method "
                f"{key.rpartition('_')[0]!r} on one expert paired with itself, and joint does not "
                f"name that method; name it too, or rename obsm[{key!r}]"
            )
        z = _embedding(adata, key, config.units)
        by_name[key] = lambda _fold, _seed, z=z: z  # type: ignore[misc]
    return by_name


def paired_dataset(config: UserTableConfig, adata: ad.AnnData, rule: ClassRule) -> PairedDataset:
    """Return a user's table as a paired data set, with one fold per held-out donor.

    Counts are left out, and labels too rare for `rule` become missing. Each donor counts as one
    section. Without `obsm["spatial"]`, row numbers serve as coordinates. Equal embeddings are
    reported, not refused.

    Parameters
    ----------
    config
        File of the table, its keys and columns, and the standardisation.
    adata
        The table, as `read_table` returns it.
    rule
        Minimum frequency of a class.

    Raises
    ------
    DataError
        If there is no observation, there are fewer than two donors, or more than half as many as
        observations (two are always allowed); if a column or an embedding is missing or not valid;
        or if two arguments name the same column or embedding, or a name is reserved.
    """
    _check_names(config)
    if adata.n_obs == 0:
        raise DataError(f"{config.units}: no observations; write the table again")
    donor = _donors(config, adata)
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=adata.obs_names)
    for label in config.label:
        obs[label] = _classes(adata, label, donor, rule, config.units)
    labelled = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    labelled.obsm["spatial"] = _coords(adata, config.units)
    labelled.uns["source"] = config.units.stem
    folds = [Fold(name, donor != name, donor != name, donor == name) for name in sorted(set(donor))]
    image, expression = (
        _embedding(adata, k, config.units) for k in (config.image, config.expression)
    )
    if config.standardise == "donor":
        for key, x in ((config.image, image), (config.expression, expression)):
            _check_varies_within_donors(x, donor, f"{config.units}: obsm[{key!r}]")
    if np.array_equal(image, expression):
        tqdm.write(
            f"{config.units}: obsm[{config.image!r}] and obsm[{config.expression!r}] hold the same "
            "numbers"
        )
    return PairedDataset(labelled, image, expression, donor, donor, folds, config.standardise)


def _check_names(config: UserTableConfig) -> None:
    """Refuse arguments that name the same column or embedding, and labels with a reserved name."""
    if config.image == config.expression:
        raise DataError(
            f"image={config.image} and expression={config.expression} are the same; name the "
            "embeddings of both experts"
        )
    for label in config.label:
        if label == config.donor:
            raise DataError(
                f"label={label} is also the donor, which cannot be predicted for a donor that is "
                "held out; name another label"
            )
        if label in RESERVED_NAMES:
            raise DataError(f"label={label}: this name is taken; rename the column of obs")


def _donors(config: UserTableConfig, adata: ad.AnnData) -> Shaped[np.ndarray, " obs"]:
    """Return the donor of every observation, with different spellings of a name unified."""
    where = f"{config.units}: obs[{config.donor!r}]"
    donor = as_names(column_of(adata, config.donor, config.units), "donor", where).to_numpy()
    names = sorted(set(donor))
    if len(names) > max(2, len(donor) / 2):
        raise DataError(
            f"{where} has {len(names)} donors for {len(donor)} observations, so that most have one "
            "observation; name the column of the person or animal"
        )
    if len(names) < 2:  # noqa: PLR2004 - one to train on and one to test on
        raise DataError(
            f"{where} has one donor, {names[0]!r}; a score needs donors that the probe was not "
            "trained on: two at least, and five for an interval (sections of one donor are no "
            "held-out donors; a data set in params.yaml may have the split leave-one-section-out)"
        )
    if ALL_FOLDS in names:
        raise DataError(f"{where}: a donor called {ALL_FOLDS!r} means all donors; rename it")
    return donor


def _coords(adata: ad.AnnData, where: Path) -> Float64[np.ndarray, "obs 2"]:
    """Return `obsm["spatial"]`; if there is none, row numbers, by which inner folds are cut."""
    if "spatial" in adata.obsm:
        return as_coords(adata.obsm["spatial"], adata.obs_names, f"{where}: obsm['spatial']")
    order = np.arange(adata.n_obs, dtype=np.float64)
    return np.column_stack([order, np.zeros_like(order)])


def _classes(
    adata: ad.AnnData,
    label: str,
    donor: Shaped[np.ndarray, " obs"],
    rule: ClassRule,
    where: Path,
) -> "pd.Series[Any]":
    """Return labels as classes; labels rarer than the rule allows become missing values."""
    column = column_of(adata, label, where)
    return as_classes(column, pd.Series(donor), CLASSES, rule, f"{where}: obs[{label!r}]")


def read_table(path: Path, keys: Collection[str] | None = None) -> ad.AnnData:
    """Read `obs`, coordinates and embeddings of a user's `.h5ad`; counts are not read.

    Parameters
    ----------
    path, keys
        The file, and the `obsm` keys of the embeddings; None reads every key of `obsm`.

    Raises
    ------
    DataError
        If the file cannot be read, a key is missing, or an array has other rows than `obs`.
    """
    return read_obs_and_obsm(path, keys, ["spatial"])


def column_of(adata: ad.AnnData, name: str, where: Path) -> "pd.Series[Any]":
    """Return a column of `obs`.

    Parameters
    ----------
    adata, name, where
        The observations, the name of the column, and the observations' file, for messages.

    Raises
    ------
    DataError
        If there is no such column, or several have the name.
    """
    if name not in adata.obs:
        raise DataError(f"{where}: no obs[{name!r}]{suggest(name, adata.obs.columns)}")
    column: pd.Series[Any] | pd.DataFrame = adata.obs[name]
    if isinstance(column, pd.DataFrame):
        raise DataError(f"{where}: obs has {name!r} {column.shape[1]} times; keep one")
    return column


def _embedding(adata: ad.AnnData, key: str, where: Path) -> Float32[np.ndarray, "obs d"]:
    if key not in adata.obsm:
        raise DataError(f"{where}: no obsm[{key!r}]{suggest(key, adata.obsm)}")
    return as_embedding(adata.obsm[key], adata.obs_names, f"{where}: obsm[{key!r}]")


def _check_varies_within_donors(
    x: Float32[np.ndarray, "obs d"], donor: Shaped[np.ndarray, " obs"], where: str
) -> None:
    """Refuse an embedding that is constant within donors: standardisation would make it zero."""
    if not standardise(x, np.ones(len(x), dtype=bool), donor, "donor").any():
        raise DataError(
            f"{where} is the same for all observations of a donor, which standardise=donor would "
            "remove; use standardise=train"
        )
