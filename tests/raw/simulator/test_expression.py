import numpy as np
import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.raw.simulator import cells, expression, states


def _latent(config, rows=2000):
    return states.sample(
        config.model_copy(update={"units": {"test": (rows // 40, 40)}}),
        "test",
        states.stream(config, "states"),
    )


def test_programmes_do_not_share_genes_and_some_genes_are_uninformative(simulator):
    genes = expression.draw_genes(simulator(), np.random.default_rng(0))
    is_upregulated = np.concatenate([programme > 0 for programme in genes.programmes.values()])
    assert is_upregulated.sum(axis=0).max() == 1
    assert (is_upregulated.sum(axis=1) == 10).all()
    assert (is_upregulated.sum(axis=0) == 0).any()


def test_counts_ignore_the_states_that_only_the_image_shows(simulator):
    config = simulator()
    latent = _latent(config)
    ratio = np.full((len(latent), config.cell_types), 1 / config.cell_types)
    genes = expression.draw_genes(config, np.random.default_rng(0))
    first = expression.sample_counts(config, genes, latent, ratio, np.random.default_rng(1))
    for name in latent.columns[latent.columns.str.startswith("image_")]:
        latent[name] = latent[name].to_numpy()[::-1]
    second = expression.sample_counts(config, genes, latent, ratio, np.random.default_rng(1))
    np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_counts_have_the_mean_and_variance_of_the_negative_binomial(simulator):
    config = simulator(
        library_sd=0, batch_sd=0, fold_change=1, marker_fold_change=1, dispersion=0.5
    )
    latent = _latent(config, rows=8000)
    ratio = np.full((len(latent), config.cell_types), 1 / config.cell_types)
    genes = expression.draw_genes(config, np.random.default_rng(0))
    drawn = expression.sample_counts(
        config, genes, latent, ratio, np.random.default_rng(1)
    ).toarray()
    mean = config.library_size * genes.baseline
    np.testing.assert_allclose(drawn.mean(axis=0), mean, rtol=0.15)
    ratio_of_variances = drawn.var(axis=0) / (mean + config.dispersion * mean**2)
    assert abs(ratio_of_variances.mean() - 1) < 0.02


def test_a_panel_too_small_for_its_programmes_says_what_to_change(simulator):
    with pytest.raises(ConfigError, match=r"genes is 50, but its programmes need 210: raise genes"):
        expression.draw_genes(simulator(genes=50), np.random.default_rng(0))


def test_transcripts_go_to_cells_of_their_observation_and_markers_to_their_type(simulator):
    config = simulator(library_size=4000.0)
    latent = states.sample(config, "test", states.stream(config, "states"))
    lattice = config.lattice("test")
    genes = expression.draw_genes(config, np.random.default_rng(0))
    placed = cells.sample(config, lattice, latent, np.random.default_rng(1))
    count = cells.count_types(placed, lattice.n_obs, config.cell_types)
    share = count / count.sum(axis=1, keepdims=True)
    counts = expression.sample_counts(config, genes, latent, share, np.random.default_rng(2))
    cell_counts, order = expression.split_over_cells(
        counts, genes, placed, np.random.default_rng(3)
    )
    obs_index, cell_type = placed.obs_index[order], placed.cell_type[order]
    assert placed.inside[order].all()
    assert len(order) == placed.inside.sum()
    assert (np.diff(obs_index) >= 0).all()
    sums = np.zeros(counts.shape)
    np.add.at(sums, obs_index, cell_counts.toarray())
    np.testing.assert_array_equal(sums, counts.toarray())
    for level, programme in enumerate(genes.programmes["shared_type"]):
        (markers,) = np.nonzero(programme)
        is_type = cell_type == level
        within, elsewhere = (cell_counts[mask][:, markers].sum() for mask in (is_type, ~is_type))
        assert within / is_type.sum() > 3 * elsewhere / (~is_type).sum()
