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


def test_programmes_do_not_share_genes_and_some_genes_tell_nothing(twin):
    genes = expression.panel(twin(), np.random.default_rng(0))
    raised = np.concatenate([programme > 0 for programme in genes.programmes.values()])
    assert raised.sum(axis=0).max() == 1
    assert (raised.sum(axis=1) == 10).all()
    assert (raised.sum(axis=0) == 0).any()


def test_counts_ignore_the_states_that_only_the_image_shows(twin):
    config = twin()
    latent = _latent(config)
    ratio = np.full((len(latent), config.cell_types), 1 / config.cell_types)
    genes = expression.panel(config, np.random.default_rng(0))
    first = expression.counts(config, genes, latent, ratio, np.random.default_rng(1))
    for name in latent.columns[latent.columns.str.startswith("image_")]:
        latent[name] = latent[name].to_numpy()[::-1]
    second = expression.counts(config, genes, latent, ratio, np.random.default_rng(1))
    np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_counts_have_the_mean_and_variance_of_the_negative_binomial(twin):
    config = twin(library_sd=0, batch_sd=0, fold_change=1, marker_fold_change=1, dispersion=0.5)
    latent = _latent(config, rows=8000)
    ratio = np.full((len(latent), config.cell_types), 1 / config.cell_types)
    genes = expression.panel(config, np.random.default_rng(0))
    drawn = expression.counts(config, genes, latent, ratio, np.random.default_rng(1)).toarray()
    mean = config.library_size * genes.base
    np.testing.assert_allclose(drawn.mean(axis=0), mean, rtol=0.15)
    ratio_of_variances = drawn.var(axis=0) / (mean + config.dispersion * mean**2)
    assert abs(ratio_of_variances.mean() - 1) < 0.02


def test_a_panel_too_small_for_its_programmes_says_what_to_change(twin):
    with pytest.raises(ConfigError, match=r"genes is 50, its programmes need 170: raise genes"):
        expression.panel(twin(genes=50), np.random.default_rng(0))


def test_the_transcripts_of_a_unit_go_to_its_cells_and_markers_to_those_of_their_type(twin):
    config = twin(library_size=4000.0)
    latent = states.sample(config, "test", states.stream(config, "states"))
    lattice = config.lattice("test")
    genes = expression.panel(config, np.random.default_rng(0))
    placed = cells.place(config, lattice, latent, np.random.default_rng(1))
    count = cells.tally(placed, lattice.units, config.cell_types)
    share = count / count.sum(axis=1, keepdims=True)
    counts = expression.counts(config, genes, latent, share, np.random.default_rng(2))
    dealt, order = expression.of_cells(counts, genes, placed, np.random.default_rng(3))
    unit, kind = placed.unit[order], placed.kind[order]
    assert placed.inside[order].all()
    assert len(order) == placed.inside.sum()
    assert (np.diff(unit) >= 0).all()
    sums = np.zeros(counts.shape)
    np.add.at(sums, unit, dealt.toarray())
    np.testing.assert_array_equal(sums, counts.toarray())
    for level, programme in enumerate(genes.programmes["shared_type"]):
        (markers,) = np.nonzero(programme)
        own, other = (
            dealt[kind_of][:, markers].sum() for kind_of in (kind == level, kind != level)
        )
        assert own / (kind == level).sum() > 3 * other / (kind != level).sum()
