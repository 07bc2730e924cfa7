import numpy as np
import pytest

from cell_synergy.core.errors import ConfigError, DataError
from tests.data import native


def test_visium_hd_bins_are_gathered_into_patches(tmp_path, ask):
    _, pixels, counts = native.visium_hd(tmp_path / "A1")
    section = native.one(tmp_path, ask("visium_hd", "patches", least=1))
    assert section.mpp == native.MPP
    assert section.counts.n_obs == 6 * 4
    assert section.cells is None
    inside = (pixels * native.MPP // 50 == [2, 1]).all(axis=1)
    patch = section.counts["2x1"]
    np.testing.assert_array_equal(patch.X.toarray()[0], counts[inside].sum(axis=0))
    np.testing.assert_array_equal(patch.obsm["spatial"][0], [125, 75])
    bins = native.one(tmp_path, ask("visium_hd"))
    np.testing.assert_allclose(bins.counts.obsm["spatial"], pixels * native.MPP)


def test_visium_hd_needs_its_bins_and_their_scale(tmp_path, ask):
    native.visium_hd(tmp_path / "A1")
    with pytest.raises(DataError, match=r"no folder 'square_016um' \(did you mean 'square_008um'"):
        native.one(tmp_path, ask("visium_hd", bin_um=16))
    with pytest.raises(ConfigError, match=r"needs sections\.bin_um, for example 8"):
        native.one(tmp_path, ask("visium_hd", bin_um=None))
    scales = tmp_path / "A1/binned_outputs/square_008um/spatial/scalefactors_json.json"
    for text, message in (("{}", "no number 'microns_per_pixel'"),
                          ('{"microns_per_pixel": -1}', "is -1.0, which is no scale")):  # fmt: skip
        scales.write_text(text)
        with pytest.raises(DataError, match=rf"scalefactors_json\.json: .*{message}"):
            native.one(tmp_path, ask("visium_hd"))
