import anndata as ad
import pandas as pd
import pytest

from cell_synergy.data import paired
from cell_synergy.raw import build, readers
from tests.raw import native, variants


@pytest.fixture
def make_dataset(dataset):
    """Return a function that makes a data set of a platform's reader."""

    def make(reader, units="spots", side=50.0, donors=None, **options):
        sections = {"A": ["A1"]} if donors is None else donors
        block = {"kind": reader, "units": units, "donors": sections, **options}
        if units == "patches":
            block.setdefault("keep_cells", True)
        if reader == "visium_hd":
            block.setdefault("bin_um", 8)
        roles = {"study": ["A"]} if donors is None else {"study": ["A", "B"], "reference": ["R"]}
        return dataset(reader=block, unit_um=side, roles=roles)

    return make


@pytest.fixture
def write_sections(tmp_path):
    """Return a function that writes three sections, which `change` then changes one by one."""

    def write(reader, change=None, labels=False, genes=None):
        rows = []
        for seed, name in enumerate(variants.NAMES):
            folder = tmp_path / name
            names, _, _ = getattr(native, reader)(
                folder, seed, **({"outs": False} if reader == "visium" else {})
            )
            if genes is not None:
                variants.rename_genes(folder / f"{variants.STEM[reader]}.h5", genes)
            rows += [{"section": name, "barcode": one, "region": one[-3]} for one in names]
            if change is not None:
                change(folder)
        if labels:
            pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
        return tmp_path

    return write


@pytest.fixture
def make_pairs(make_dataset, rules):
    """Return a function that makes pairs of a folder and checks them as before they are written."""

    def make(folder, reader, units, **options):
        side = options.pop("side", 50.0)
        config = make_dataset(
            reader, units, side=side, donors={name[0]: [name] for name in variants.NAMES}, **options
        )
        config = config.model_copy(update={"tasks": {}})
        result = build.build("lab", readers.read(folder, config), config, rules, folder)
        for name, table in zip(("study", "reference"), result, strict=True):
            paired.check(table, name)
        return list(result)

    return make


_WANTED: dict[tuple[str, str], list[ad.AnnData]] = {}


@pytest.fixture
def plain_pairs(write_sections, make_pairs):
    """Return a function that writes sections in their plainest form and gives their pairs, too."""

    def make(reader, units, **options):
        root = write_sections(reader)
        key = reader, units
        if key not in _WANTED:
            _WANTED[key] = make_pairs(
                root, reader, units, **(options or variants.UNITS[reader][units])
            )
        return root, [table.copy() for table in _WANTED[key]]

    return make
