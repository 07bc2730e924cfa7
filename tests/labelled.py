"""Files of a data set that tests make whole, as the stage `pairs` writes them."""

from collections.abc import Mapping
from pathlib import Path

import anndata as ad
from pydantic import TypeAdapter

from cell_synergy.data import label_files, paired
from cell_synergy.data.config import Task


def write(
    folder: Path, name: str, adata: ad.AnnData, tasks: Mapping[str, object], role: str = ""
) -> None:
    """Write `pairs/<name>.h5ad`, `labels/<name>.h5ad` and the table of tasks beside it."""
    specs = TypeAdapter(dict[str, Task]).validate_python(dict(tasks))
    adata.uns.setdefault("simulated", False)
    pairs, labels = label_files.separate(adata, specs)
    paired.write(folder / "pairs" / f"{name}.h5ad", pairs)
    label_files.write(folder / "labels" / f"{name}.h5ad", labels)
    label_files.write_task_table(folder / "labels" / f"{name}.csv", adata, name, specs, role)
