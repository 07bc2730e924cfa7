import gzip

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from tests.raw import variants


def _text(change):
    """Change the text of the tissue positions."""

    def edit(folder):
        path = folder / "spatial/tissue_positions.csv"
        path.write_bytes(change(path.read_text()).encode("utf-8"))

    return edit


def _table(change):
    def edit(folder):
        path = folder / "spatial/tissue_positions.csv"
        change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)

    return edit


def _renamed(name, header=True, pack=bytes):
    def edit(folder):
        path = folder / "spatial/tissue_positions.csv"
        text = path.read_text() if header else path.read_text().partition("\n")[2]
        path.unlink()
        place = folder / name
        place.write_bytes(pack(text.encode()))

    return edit


def _loose(folder):
    _renamed("GSM1_tissue_positions_list.csv.gz", pack=gzip.compress)(folder)
    (folder / "spatial").rmdir()


def _parquet(folder):
    path = folder / "spatial/tissue_positions.csv"
    pd.read_csv(path).to_parquet(path.with_suffix(".parquet"))
    path.unlink()


POSITIONS = {
    "a header in a gzip": _renamed("spatial/tissue_positions.csv.gz", pack=gzip.compress),
    "no header in a gzip":
        _renamed("spatial/tissue_positions_list.csv.gz", header=False, pack=gzip.compress),
    "a list with a header": _renamed("spatial/tissue_positions_list.csv"),
    "a gzip called csv": _renamed("spatial/tissue_positions.csv", pack=gzip.compress),
    "the prefix of GEO": _renamed("spatial/GSM1_tissue_positions_list.csv", header=False),
    "loose files of GEO": _loose,
    "Parquet": _parquet,
    "UTF-16": lambda folder: (path := folder / "spatial/tissue_positions.csv").write_bytes(
        path.read_text().encode("utf-16")),
    "a byte order mark": _text(lambda text: "\ufeff" + text),
    "Windows": _text(lambda text: text.replace("\n", "\r\n")),
    "quotes": _text(lambda text: "\n".join(
        ",".join(f'"{word}"' for word in line.split(",")) for line in text.split())),
    "tabs": _text(lambda text: text.replace(",", "\t")),
    "semicolons": _text(lambda text: text.replace(",", ";")),
    "capitals": _text(lambda text: text.replace("barcode", "Barcode", 1)),
    "blanks after commas": _text(lambda text: text.replace(",", ", ")),
    "an index": _table(lambda table: table.rename_axis("x").reset_index()),
    "R's row names": _text(lambda text: "\n".join(
        line if i == 0 else f'"{i}",{line}' for i, line in enumerate(text.split()))),
    "columns in another order": _table(lambda table: table[table.columns[::-1]]),
    "rows in another order": _table(lambda table: table.iloc[::-1]),
}  # fmt: skip


@pytest.mark.parametrize("variant", POSITIONS)
def test_tissue_positions_are_read_in_every_form(plain_pairs, make_pairs, variant):
    root, plain = plain_pairs("visium", "spots")
    for name in variants.NAMES:
        POSITIONS[variant](root / name)
    variants.same_but_rounding(make_pairs(root, "visium", "spots"), plain)


def test_spots_of_a_raw_matrix_that_are_off_tissue_are_dropped(plain_pairs, make_pairs, capsys):
    root, plain = plain_pairs("visium", "spots")
    path = root / "A1/spatial/tissue_positions.csv"
    table = pd.read_csv(path)
    inside = np.flatnonzero(table["in_tissue"])
    table.loc[inside[:5], "in_tissue"] = 0
    table.to_csv(path, index=False)
    study = make_pairs(root, "visium", "spots")[0]
    assert "5 of 98 barcodes of the matrix are not in tissue" in capsys.readouterr().out
    missing = {f"A1_{table['barcode'][row]}" for row in inside[:5]}
    assert set(plain[0].obs_names) - set(study.obs_names) == missing & set(plain[0].obs_names)
    table.assign(in_tissue=0).to_csv(path, index=False)
    with pytest.raises(DataError, match="in_tissue is 0 for every barcode"):
        make_pairs(root, "visium", "spots")


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text + text.split()[1] + "\n", "1 barcodes occur more than once"),
    (lambda text: text.replace(".", "."), None),
    (lambda text: text.split()[0] + "\n", "has no row"),
    (lambda text: text.replace("array_row,", "array_row,array_row,", 1), "occurs twice"),
])  # fmt: skip
def test_tissue_positions_that_cannot_be_told_apart_are_refused(
    write_sections, make_pairs, change, message
):
    root = write_sections("visium")
    _text(change)(root / "B1")
    if message is None:
        make_pairs(root, "visium", "spots")
        return
    with pytest.raises(DataError, match=message):
        make_pairs(root, "visium", "spots")
