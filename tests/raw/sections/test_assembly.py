import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data import paired
from cell_synergy.raw import build, readers
from tests.raw import native

GROUPS = {"A": ["A1", "A2"], "B": ["B1"], "R": ["R1"]}
WRITE = {"visium": native.visium, "visium_hd": native.visium_hd, "xenium": native.xenium}


@pytest.mark.parametrize("reader", ["xenium", "hest"])
def test_patches_hold_their_cells(tmp_path, make_dataset, reader):
    if reader == "xenium":
        names, pixels, counts = native.xenium(tmp_path / "A1")
    else:
        names, pixels, counts = native.hest(tmp_path, "A1")
    section = native.one(tmp_path, make_dataset(reader, "patches", least=12))
    column, row = (pixels * native.MPP // 50).astype(int).T
    patch = pd.Series([f"{x}x{y}" for x, y in zip(column, row, strict=True)], index=names)
    sizes = patch.value_counts()
    assert set(section.adata.obs_names) == set(sizes.index[sizes >= 12])
    assert 0 < section.adata.n_obs < len(sizes)  # some are too small
    wide = pd.DataFrame(counts, index=names, columns=native.GENES)
    expected = wide.groupby(patch).sum().loc[section.adata.obs_names]
    result = section.adata.to_df()[native.GENES]
    np.testing.assert_array_equal(result, expected)
    assert section.cells is not None
    assert section.cells.obs["unit"].to_dict() == patch[section.cells.obs_names].to_dict()
    assert section.cells.n_obs == sizes[sizes >= 12].sum()
    inner = section.cells.to_df()[native.GENES]
    np.testing.assert_array_equal(inner, wide.loc[section.cells.obs_names])


@pytest.mark.parametrize("reader", [*WRITE, "hest"])
def test_a_folder_of_the_true_layout_becomes_pairs(tmp_path, make_dataset, rules, reader):
    rows = []
    for seed, name in enumerate(["A1", "A2", "B1", "R1", "X9"]):
        if reader == "hest":
            barcodes, pixels, _ = native.hest(tmp_path, name, seed)
        else:
            barcodes, pixels, _ = WRITE[reader](tmp_path / name, seed)
        label = np.where(pixels[:, 0] < native.SIZE[0] / 2, "core", "rim")
        table = {"section": name, "barcode": barcodes, "region": label, "cell_type": label}
        rows.append(pd.DataFrame(table))
    pd.concat(rows).to_csv(tmp_path / "labels.csv.gz", index=False)
    options: dict[str, object] = {"labels": "labels.csv.gz"}
    if reader != "visium":
        options |= {"least": 3, "cell_type": "cell_type"}
    units = "spots" if reader == "visium" else "patches"
    tasks = {"region": {"kind": "classification"}}
    if reader != "visium":
        tasks["composition"] = {"kind": "composition"}
    config = make_dataset(reader, units, donors=GROUPS, **options)
    config = config.model_validate(config.model_dump(exclude_none=True) | {"tasks": tasks})
    rules = rules.model_copy(update={"class_units": 2})
    study, reference = build.build("lab", readers.read(tmp_path, config), config, rules, tmp_path)
    paired.write(tmp_path / "p.h5ad", study)
    result = paired.read(tmp_path / "p.h5ad")
    assert set(result.obs["section"]) == {"A1", "A2", "B1"}
    assert set(reference.obs["section"]) == {"R1"}
    mpp = native.VISIUM_MPP if reader == "visium" else native.MPP
    left = result.obsm["spatial"][:, 0] < native.SIZE[0] * mpp / 2
    np.testing.assert_array_equal(result.obs["region"].to_numpy() == "core", left)
    if reader != "visium":
        ratio = result.obsm["cell_type_ratio"]
        np.testing.assert_allclose(ratio["core"], left, atol=0.5)
    cells = paired.cell_counts(result)
    if reader in {"xenium", "hest"}:
        assert cells is not None
        counts, unit = cells
        assert (np.diff(unit) >= 0).all()
        for row in (0, result.n_obs - 1):
            inside = counts[unit == row].sum(axis=0)
            np.testing.assert_array_equal(inside, result.X[row].toarray())
    else:
        assert cells is None
        assert "cells" not in result.uns


def test_units_that_a_platform_does_not_have_are_refused(tmp_path, make_dataset):
    native.visium(tmp_path / "A1")
    message = r"has spots, no cells; set reader\.units to spots or patches"
    with pytest.raises(DataError, match=message):
        native.one(tmp_path, make_dataset("visium", "cells"))


def test_a_reader_of_folders_needs_its_block(tmp_path, dataset):
    with pytest.raises(ConfigError, match=r"reader 'visium' needs the key `units`"):
        list(readers.read(tmp_path, dataset(reader="visium")))


def test_a_section_that_is_not_there_is_named_with_the_nearest(tmp_path, make_dataset):
    native.visium(tmp_path / "A11")
    with pytest.raises(DataError, match=r"no section 'A1', which reader\.donors names \(did"):
        native.one(tmp_path, make_dataset("visium"))


def test_a_section_without_a_donor_is_left_out_and_named(tmp_path, make_dataset, capsys):
    for name in ("A1", "B7"):
        native.visium(tmp_path / name)
    assert native.one(tmp_path, make_dataset("visium")).name == "A1"
    assert "B7 without a donor, left out" in capsys.readouterr().out
