"""A user's own folder of sections, or one that is filled from the hub: its files stay there."""

import os
from pathlib import Path

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.config import DatasetConfig, SectionsConfig
from cell_synergy.raw.external_files import IMAGES, below, record

_OWN = {".h5ad", *IMAGES}


def record_folder(folder: Path, dataset: DatasetConfig, out: Path) -> None:
    """Record the files of a user's own sections, which stay in `folder`.

    Raises
    ------
    DataError
        If the folder does not exist or holds nothing of the data set.
    """
    options = dataset.sections
    if options is None:
        files = [
            file for file in folder.glob("*") if file.suffix.lower() in _OWN and file.is_file()
        ]
        lacking = not any(file.suffix.lower() == ".h5ad" for file in files)
        what = "no .h5ad file there (one of counts and one image of the same name per section)"
    else:
        there = (path.name for path in folder.glob("[!.]*") if path.is_dir())
        names = options.donor_of(there)
        if dataset.reader == "hest":
            files = [folder / name for name in hest_files(options)]
        else:
            files = [file for name in names for file in _all_below(folder / name)]
        files = [file for file in files if file.is_file()]
        lacking = not files
        what = f"nothing there of the sections {', '.join(names)}" if names else "no section there"
        for key, table in (("labels", options.labels), ("composition", options.composition)):
            if table is not None:
                files.append(below(folder, table, f"sections.{key}"))
                if not files[-1].is_file():
                    raise DataError(f"{files[-1]}: no such file; `sections.{key}` names it")
    if lacking:
        raise DataError(
            f"{folder}: {what}; set `folder` of the data set in params.yaml to the folder of your "
            "sections"
        )
    out.mkdir()
    record(folder, files, out)


def _all_below(folder: Path) -> list[Path]:
    """Return every file below a folder, also in folders that are links."""
    return [
        Path(place) / name
        for place, _, files in os.walk(folder, followlinks=True)
        for name in files
    ]


def fetch_hub(dataset: DatasetConfig, folder: Path) -> None:
    """Fetch a data set's sections from the hub into `folder`, where they stay."""
    from cell_synergy.core.hub import fetch_many  # noqa: PLC0415 - a second that other sources need not

    if dataset.hub is None or dataset.sections is None:
        raise ConfigError("source 'hub' needs the blocks 'hub' and 'sections'")
    wanted = hest_files(dataset.sections)
    fetch_many(dataset.hub.repo, wanted, dataset.hub.revision, "dataset", folder)


def hest_files(options: SectionsConfig) -> list[str]:
    """Return the files of HEST-1k that sections need; those of transcripts hold the cells."""
    kinds = ["st/{}.h5ad", "wsis/{}.tif", "metadata/{}.json"]
    if options.units != "spots":
        kinds[0] = "transcripts/{}_transcripts.parquet"
    return [kind.format(name) for name in options.donor_of(()) for kind in kinds]
