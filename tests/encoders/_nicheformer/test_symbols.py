from importlib.metadata import PackageNotFoundError

import pandas as pd
import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders._nicheformer import symbols
from cell_synergy.encoders._nicheformer.symbols import to_ensembl

ERBB2, ACTB, GAPDH = "ENSG00000141736", "ENSG00000075624", "ENSG00000111640"
KNOWN = pd.Index([ERBB2, ACTB, GAPDH])


def test_human_symbols_are_known():
    found = to_ensembl(["ACTB", "ERBB2", "GAPDH"], KNOWN, "human")
    assert found.ids.tolist() == [ACTB, ERBB2, GAPDH]
    assert found.unmapped == []
    assert found.duplicates == []


def test_mouse_symbols_go_by_their_human_partner():
    found = to_ensembl(["Actb", "Erbb2", "ERBB2"], KNOWN, "mouse")
    assert found.ids.tolist() == [ACTB, ERBB2, "ERBB2"]
    assert found.unmapped == ["ERBB2"]


def test_ids_pass_without_their_version():
    found = to_ensembl([f"{ACTB}.17", "ERBB2", "ENSMUSG00000029580"], KNOWN, "human")
    assert found.ids.tolist() == [ACTB, ERBB2, "ENSMUSG00000029580"]


def test_names_without_an_id_keep_their_place_and_are_listed():
    found = to_ensembl(["SIM0001", "ACTB", "GHOST"], KNOWN, "human")
    assert found.ids.tolist() == ["SIM0001", ACTB, "GHOST"]
    assert found.unmapped == ["SIM0001", "GHOST"]


def test_a_symbol_whose_id_the_expert_does_not_know_has_none():
    assert to_ensembl(["ACTB", "TP53"], KNOWN, "human").unmapped == ["TP53"]


def test_of_several_ids_the_known_one_is_taken():
    """GENCODE v44 names two genes GBP1P1."""
    for known in ("ENSG00000290525", "ENSG00000225492"):
        assert to_ensembl(["GBP1P1"], pd.Index([known]), "human").ids.tolist() == [known]


def test_ids_that_two_names_share_are_listed():
    assert to_ensembl(["ACTB", ACTB, "GAPDH"], KNOWN, "human").duplicates == [ACTB]


def test_ids_alone_need_no_table(monkeypatch):
    monkeypatch.setattr(symbols, "_HUMAN", "absent.csv")
    assert to_ensembl([ACTB, GAPDH], KNOWN, "human").ids.tolist() == [ACTB, GAPDH]


def test_missing_tables_are_named(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(symbols, "distribution", absent)
    with pytest.raises(ConfigError, match="tables in the package celltypist: install it, or name"):
        to_ensembl(["ACTB"], KNOWN, "human")
