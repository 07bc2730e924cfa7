import pytest


@pytest.fixture
def ask(dataset):
    """Return a function that makes a data set of a platform's reader."""

    def make(reader, units="spots", side=50.0, donors=None, **options):
        block = {"units": units, "donors": donors or {"A": "A1"}, **options}
        if units == "patches":
            block.setdefault("keep_cells", True)
        if reader == "visium_hd":
            block.setdefault("bin_um", 8)
        roles = {"study": "A"} if donors is None else {"study": "A, B", "reference": "R"}
        return dataset(reader=reader, sections=block, unit_um=side, roles=roles)

    return make
