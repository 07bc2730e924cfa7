from importlib.metadata import PackageNotFoundError

import pandas as pd
import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders._nicheformer import symbols
from cell_synergy.encoders._nicheformer.symbols import to_ensembl

ERBB2, ACTB, GAPDH = "ENSG00000141736", "ENSG00000075624", "ENSG00000111640"
VOCABULARY = pd.Index([ERBB2, ACTB, GAPDH])


def test_human_symbols_are_mapped():
    mapped = to_ensembl(["ACTB", "ERBB2", "GAPDH"], VOCABULARY, "human")
    assert mapped.ids.tolist() == [ACTB, ERBB2, GAPDH]
    assert mapped.unmapped == []
    assert mapped.duplicates == []


def test_mouse_symbols_are_mapped_to_human_orthologues():
    mapped = to_ensembl(["Actb", "Erbb2", "ERBB2"], VOCABULARY, "mouse")
    assert mapped.ids.tolist() == [ACTB, ERBB2, "ERBB2"]
    assert mapped.unmapped == ["ERBB2"]


def test_ids_lose_their_version():
    mapped = to_ensembl([f"{ACTB}.17", "ERBB2", "ENSMUSG00000029580"], VOCABULARY, "human")
    assert mapped.ids.tolist() == [ACTB, ERBB2, "ENSMUSG00000029580"]


def test_names_without_an_id_are_kept_and_listed():
    mapped = to_ensembl(["SIM0001", "ACTB", "GHOST"], VOCABULARY, "human")
    assert mapped.ids.tolist() == ["SIM0001", ACTB, "GHOST"]
    assert mapped.unmapped == ["SIM0001", "GHOST"]


def test_a_symbol_outside_of_the_vocabulary_is_unmapped():
    assert to_ensembl(["ACTB", "TP53"], VOCABULARY, "human").unmapped == ["TP53"]


def test_of_several_ids_that_of_the_vocabulary_is_used():
    """GENCODE v44 names two genes GBP1P1."""
    for gene_id in ("ENSG00000290525", "ENSG00000225492"):
        assert to_ensembl(["GBP1P1"], pd.Index([gene_id]), "human").ids.tolist() == [gene_id]


def test_ids_that_two_names_share_are_listed():
    assert to_ensembl(["ACTB", ACTB, "GAPDH"], VOCABULARY, "human").duplicates == [ACTB]


def test_ids_alone_need_no_table(monkeypatch):
    monkeypatch.setattr(symbols, "_HUMAN", "absent.csv")
    assert to_ensembl([ACTB, GAPDH], VOCABULARY, "human").ids.tolist() == [ACTB, GAPDH]


def test_missing_tables_are_named(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(symbols, "distribution", absent)
    with pytest.raises(ConfigError, match="tables in the package celltypist: install it, or name"):
        to_ensembl(["ACTB"], VOCABULARY, "human")
