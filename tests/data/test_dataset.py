from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.config import load_keys, parse, validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data import embeddings, label_files
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.paired import write as write_pairs


@pytest.fixture
def stored(units, tmp_path):
    """Return the paths of pairs of two donors, three sections, and of both embeddings."""
    table = units(30, 4)
    table.obs["donor"] = pd.Categorical(["A"] * 20 + ["B"] * 10)
    table.obs["section"] = pd.Categorical(["A1"] * 10 + ["A2"] * 10 + ["B1"] * 10)
    rng = np.random.default_rng(0)
    places = tmp_path / "pairs.h5ad", tmp_path / "image.h5ad", tmp_path / "expression.h5ad"
    write_pairs(places[0], table)
    for path, width in zip(places[1:], (3, 2), strict=True):
        x = rng.normal(5, 2, (30, width)).astype(np.float32)
        embeddings.write(path, x, table.obs_names, {})
    return places


def _read(stored, settings, labels=None):
    pairs_at, image, expression = stored
    return PairedDataset.read(pairs_at, image, expression, settings, labels)


def test_a_data_set_is_read_with_the_folds_of_its_split(stored, dataset):
    paired = _read(stored, dataset())
    assert paired.image.shape == (30, 3)
    assert paired.expression.shape == (30, 2)
    assert paired.groups.tolist() == paired.donor.tolist() == ["A"] * 20 + ["B"] * 10
    assert [fold.name for fold in paired.folds] == ["A", "B"]


def test_the_data_sets_mode_says_whose_scale_counts(stored, dataset):
    train = _read(stored, dataset(standardise="train"))
    fold = train.folds[0]
    for found in train.standardised(fold):
        np.testing.assert_allclose(found[fold.align].std(axis=0), 1, atol=1e-5)
        assert (np.abs(found[fold.test].mean(axis=0)) > 1e-3).any()
    donor = _read(stored, dataset(standardise="donor"))
    for found in donor.standardised(fold):
        np.testing.assert_allclose(found[fold.align].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(found[fold.test].mean(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize(("place", "modality"), [(1, "image"), (2, "expression")])
def test_an_embedding_of_other_units_is_refused(stored, dataset, place, modality):
    names = pd.Index([f"u{i}" for i in range(29)] + ["v"])
    embeddings.write(stored[place], np.zeros((30, 2), np.float32), names, {})
    with pytest.raises(DataError, match=rf"{modality}\.h5ad: row 29 is 'v', the pairs have 'u29'"):
        _read(stored, dataset())


def test_labels_are_read_where_a_file_of_them_is_given(stored, dataset, units, tmp_path):
    assert "region" not in _read(stored, dataset()).adata.obs
    table = units(30, 4)
    table.obs["region"] = pd.Categorical(["core", "rim"] * 15)
    _, labels = label_files.separate(table, dataset().tasks)
    label_files.write(tmp_path / "labels.h5ad", labels)
    paired = _read(stored, dataset(), tmp_path / "labels.h5ad")
    pd.testing.assert_series_equal(paired.adata.obs["region"], table.obs["region"])
    _, labels = label_files.separate(table[:20].copy(), dataset().tasks)
    label_files.write(tmp_path / "labels.h5ad", labels)
    with pytest.raises(DataError, match=r"labels\.h5ad: has 20 rows, the pairs have 30"):
        _read(stored, dataset(), tmp_path / "labels.h5ad")


def test_pieces_are_sections_or_their_blocks(units):
    table = units(6, 5)
    groups = table.obs["donor"].to_numpy()
    nothing = np.zeros((6, 1), dtype=np.float32)
    whole = PairedDataset(table, nothing, nothing, groups, groups, [], "train")
    assert whole.section_or_block.tolist() == ["A1"] * 6
    assert whole.donor_labels is whole.groups
    cut = table.copy()
    cut.obs["block"] = [f"A1-block{i % 2}" for i in range(6)]
    blocks = cut.obs["block"].to_numpy()
    paired = PairedDataset(cut, nothing, nothing, blocks, groups, [], "train")
    assert paired.section_or_block.tolist() == blocks.tolist()
    assert paired.donor_labels is paired.donor


def test_inputs_are_principal_axes_fitted_on_the_training_rows_alone(stored, dataset):
    paired = _read(stored, dataset(standardise="train"))
    fold = paired.folds[0]
    image, expression = paired.inputs(fold, 2)
    assert (image.shape, expression.shape) == ((30, 2), (30, 2))
    standardised = paired.standardised(fold)[0]
    variances = np.linalg.eigvalsh(np.cov(standardised[fold.align].T, ddof=0))
    np.testing.assert_allclose(image[fold.align].var(axis=0), variances[:0:-1], rtol=1e-4)
    assert np.abs(np.corrcoef(image[fold.align].T)[0, 1]) < 1e-4
    changed = paired.image.copy()
    changed[fold.test] *= 30
    other = replace(paired, image=changed).inputs(fold, 2)[0]
    assert other[fold.align].tobytes() == image[fold.align].tobytes()
    assert np.abs(other[fold.test]).max() > 10 * np.abs(image[fold.test]).max()
    changed[fold.align] = paired.image[fold.align][:, [1, 2, 0]]
    assert (replace(paired, image=changed).inputs(fold, 2)[0] != image).any()
    assert (paired.inputs(paired.folds[1], 2)[0] != image).any()


@pytest.mark.parametrize("mode", ["train", "donor"])
def test_inputs_without_axes_are_the_standardised_embeddings(stored, dataset, mode):
    paired = _read(stored, dataset(standardise=mode))
    for fold in paired.folds:
        pairs = zip(paired.inputs(fold, None), paired.standardised(fold), strict=True)
        assert all(given.tobytes() == expected.tobytes() for given, expected in pairs)
        # All axes of an expert with fewer features: rotated, and no distance changes.
        for given, expected in zip(paired.inputs(fold, 64), paired.standardised(fold), strict=True):
            assert given.shape == expected.shape
            np.testing.assert_allclose(given @ given.T, expected @ expected.T, atol=1e-3)
        assert paired.inputs(fold, 64)[0].tobytes() == paired.inputs(fold, 64)[0].tobytes()


def test_the_text_of_inputs_names_the_axes_and_the_experts_widths(stored, dataset):
    paired = _read(stored, dataset())
    texts = {paired.input_text(axes) for axes in (None, 2, 64)}
    narrow = replace(paired, image=paired.image[:, :2])
    assert len(texts | {narrow.input_text(64)}) == 4
    assert paired.input_text(64) == (
        "64 principal axes (align.axes) of 3 image and 2 expression features"
    )


@pytest.mark.parametrize(("axes", "n_axes"), [(64, 64), ("none", None), (1, 1)])
def test_axes_are_a_number_or_none(axes, n_axes):
    assert validate(InputConfig, {"axes": axes}, "align").axes == n_axes


@pytest.mark.parametrize("word", ["align.axes=none", "align.axes=32"])
def test_axes_may_be_given_on_the_command_line(word):
    given = parse([word])["align"]
    assert load_keys(InputConfig, "align", given).axes in (None, 32)


@pytest.mark.parametrize("axes", [0, -1, "all", None, 2.5, True])
def test_other_axes_are_refused_with_the_key(axes):
    with pytest.raises(ConfigError, match=r"align\.axes: "):
        validate(InputConfig, {"axes": axes}, "align")
