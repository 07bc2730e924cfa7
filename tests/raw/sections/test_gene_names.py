import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.gene_names import require_shared, unify_gene_names

SYMBOLS = {"TP53": "ENSG00000141510", "EGFR": "ENSG00000146648", "ACTB": "ENSG00000075624"}


def table(genes, cells=False):
    """Return two units that have 1, 2, 3, ... counts of the genes, the second twice as many."""
    counts = np.arange(1, len(genes) + 1, dtype=np.float32) * np.array([[1], [2]], np.float32)
    result = ad.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame(index=["u0", "u1"]),
        var=pd.DataFrame(index=list(genes)),
    )
    own = (sparse.csr_matrix(counts), np.arange(2, dtype=np.int64))
    result.uns["cells"] = own if cells else None
    return result


def test_ids_become_the_symbols_of_other_sections_with_their_counts(capsys):
    versions = [f"{name}.{i}" for i, name in enumerate(SYMBOLS.values())]
    given = {"A": table(SYMBOLS), "B": table([*versions, "ENSG00000999999"], cells=True)}
    result = unify_gene_names("lab", given)
    assert result["A"] is given["A"]
    assert result["B"].var_names.tolist() == ["TP53", "EGFR", "ACTB", "ENSG00000999999"]
    np.testing.assert_array_equal(result["B"].X.toarray(), [[1, 2, 3, 4], [2, 4, 6, 8]])
    np.testing.assert_array_equal(result["B"].uns["cells"][0].toarray(), result["B"].X.toarray())
    assert result["B"].obs_names.tolist() == ["u0", "u1"]
    assert "lab: section B: 3 of 4 Ensembl ids became symbols" in capsys.readouterr().out
    require_shared("lab", result, 0.75)


def test_ids_that_have_one_symbol_are_added():
    twice = ["ENSG00000182378.14", "ENSG00000182378.14_PAR_Y", "ENSG00000141510.1"]
    result = unify_gene_names("lab", {"A": table(twice), "B": table(["TP53", "PLCXD1"])})
    assert result["A"].var_names.tolist() == ["PLCXD1", "TP53"]
    np.testing.assert_array_equal(result["A"].X.toarray(), [[3, 3], [6, 6]])


def test_versions_go_where_sections_have_others():
    one, two = ([f"{name}.{i}" for name in SYMBOLS.values()] for i in (1, 2))
    result = unify_gene_names(
        "lab", {"A": table(one), "B": table(two), "C": table(SYMBOLS.values())}
    )
    for own in result.values():
        assert own.var_names.tolist() == list(SYMBOLS.values())


def test_sections_that_agree_keep_their_names():
    for genes in (SYMBOLS, [f"{name}.1" for name in SYMBOLS.values()]):
        given = {"A": table(genes), "B": table(genes)}
        result = unify_gene_names("lab", given)
        assert all(result[key].var_names.tolist() == list(genes) for key in given)


G = [f"G{i}" for i in range(10)]
REFUSED = {
    "ids that the table does not have": (
        [f"ENSG{i:011d}" for i in range(500, 510)], G,
        r"A \(10 genes, e\.g\. 'ENSG0.*'\) and B \(10 .* 'G0'\) share 0 .*Ensembl id.*by symbol"),
    "mouse and human": ([g.lower() for g in G], G, "share 0 genes, 0% .* differ in capitals"),
    "a panel and a transcriptome": (G, G + [f"H{i}" for i in range(20)],
        "share 10 genes, 33% of the larger .* leave the genes out that only one of them has"),
    "two panels": (G, [*G[:4], *"abcdef"], "share 4 genes, 40% .* of one panel and species"),
    "names with a suffix": ([f"{g}-human" for g in G], G, "name the genes of all sections alike"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_sections_of_other_genes_are_refused_with_the_numbers(what):
    one, two, message = REFUSED[what]
    with pytest.raises(DataError, match=message):
        require_shared("lab", {"A": table(one), "B": table(two), "C": table(two)}, 0.5)


def test_genes_that_sections_lack_are_counted(capsys):
    require_shared("lab", {"A": table(G), "B": table(G[:8]), "C": table(G[1:])}, 0.7)
    out = capsys.readouterr().out
    assert "lab: 7 of 10 genes are in every section; " in out
    assert "counts as zero there (section B lacks 2)" in out
    require_shared("lab", {"A": table(G), "B": table(G)}, 1.0)
    assert capsys.readouterr().out == ""
