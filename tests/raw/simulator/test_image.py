import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from cell_synergy.raw.simulator import cells, deposits, image, states

SHAPE = (6, 8)


@pytest.fixture(scope="module")
def scene(simulator):
    config = simulator(units={"test": SHAPE})
    latent = states.sample(config, "test", states.stream(config, "states"))
    lattice = config.lattice("test")
    placed = cells.sample(config, lattice, latent, states.stream(config, "cells"))
    textures = image.draw_textures(config, states.stream(config, "textures"))

    def draw(latent=latent, seed=0, **changes):
        rng = np.random.default_rng(seed)
        return image.render(
            config.model_copy(update=changes), lattice, latent, placed, textures, rng
        )

    return config, latent, draw


def test_the_image_covers_the_observations_and_the_margin(scene):
    config, _, draw = scene
    extent = np.array(SHAPE) * config.pitch_um + 2 * config.margin_um
    assert draw().shape == (*(extent / config.mpp).astype(int), 3)


def test_the_image_ignores_the_states_that_only_expression_shows(scene):
    _, latent, draw = scene
    other = latent.copy()
    for name in latent.columns[latent.columns.str.startswith("expression_")]:
        other[name] = latent[name].to_numpy()[::-1]
    np.testing.assert_array_equal(draw(latent), draw(other))


@pytest.mark.parametrize(
    "state", ["image_nuclei", "image_stroma", "image_region", "image_deposits"]
)
def test_a_change_of_an_image_state_changes_the_image_there_and_only_there(scene, state):
    config, latent, draw = scene
    other = latent.copy()
    row = 2 * SHAPE[1] + 3
    other.loc[row, state] = (latent.loc[row, state] + 1) % 2
    changed = np.abs(draw(latent).astype(int) - draw(other)).max(axis=2) > 0
    assert changed.sum() > 100
    rows, columns = np.nonzero(changed)
    y = (rows * config.mpp - config.margin_um) / config.pitch_um
    x = (columns * config.mpp - config.margin_um) / config.pitch_um
    assert np.abs(y - 2.5).max() < 1
    assert np.abs(x - 3.5).max() < 1


def test_tissue_is_stained_pink_and_nuclei_are_darker_and_bluer(scene):
    picture = scene[2](stain_sd=0.0).reshape(-1, 3).astype(float)
    dark = picture[picture.sum(axis=1) < np.quantile(picture.sum(axis=1), 0.03)].mean(axis=0)
    whole = picture.mean(axis=0)
    assert whole[0] > whole[2] > whole[1]
    assert dark[2] > dark[0]


def test_each_kind_of_deposit_has_its_colour(scene):
    _, latent, draw = scene
    without = draw(deposits=1e-9, stain_sd=0.0).astype(int)
    change = []
    for kind in range(4):
        changed = draw(latent.assign(image_deposits=kind), stain_sd=0.0) - without
        change.append(changed[np.abs(changed).sum(axis=2) > 60].mean(axis=0))
    carbon, haemosiderin, calcium, cleft = change
    assert carbon.max() < -50
    assert haemosiderin[0] - haemosiderin[2] > 50
    assert calcium[2] - calcium[0] > 50
    assert cleft.min() > 20


def test_an_observation_has_as_many_deposits_as_configured(simulator):
    config = simulator(units={"test": (20, 20)}, deposits=3.0)
    lattice = config.lattice("test")
    latent = pd.DataFrame({"image_deposits": np.zeros(400, dtype=np.int64)})
    size = (1100, 1100)
    drawn = deposits.draw(config, lattice, latent, size, 10, np.random.default_rng(0))
    _, count = ndimage.label(drawn.absorbance[..., 0] > 0.2)
    assert count == pytest.approx(3 * 20.8**2, rel=0.08)  # with the margin; few overlap
    assert (drawn.tissue == 1).all()


def test_donors_differ_in_stain(scene):
    draw = scene[2]
    colours = [draw(seed=seed).mean(axis=(0, 1)) for seed in range(4)]
    assert np.ptp(colours, axis=0).min() > 3


def test_the_file_is_a_tiled_jpeg_with_subsampled_chroma_that_names_its_resolution(scene, tmp_path):
    config, _, draw = scene
    picture = draw()
    image.write(tmp_path / "a.tif", picture, config)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages.first
        assert page.compression == tifffile.COMPRESSION.JPEG
        assert page.is_tiled
        assert page.subsampling == (2, 2)
        assert "DateTime" not in page.tags
        across, per = page.tags["XResolution"].value
        assert abs(1e4 * per / across - config.mpp) < 1e-6
        assert np.abs(page.asarray().astype(int) - picture).mean() < 12
