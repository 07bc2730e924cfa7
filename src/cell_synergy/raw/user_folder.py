"""Raw files of a user's own folder, or of a folder filled from the hub, which are not copied."""

import os
from pathlib import Path

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import RawConfig
from cell_synergy.data.reader_config import ReaderConfig
from cell_synergy.data.source_config import HubSource
from cell_synergy.raw.external_files import IMAGES, below, record

_SUFFIXES = {".h5ad", *IMAGES}


def record_folder(folder: Path, dataset: RawConfig, out: Path) -> None:
    """Record the files of a user's sections, which stay in `folder`, in a new raw folder.

    Parameters
    ----------
    folder
        The user's folder.
    dataset
        Configuration of the data set's source and reader.
    out
        Raw folder to create, which must not exist; the record `sources.json` is written to it.

    Raises
    ------
    DataError
        If the folder has no file of the data set, or a table that `reader` names is missing or
        outside of the folder.
    """
    config = dataset.sections
    if config is None:
        files = [
            file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()
        ]
        empty = not any(file.suffix.lower() == ".h5ad" for file in files)
        problem = "no .h5ad file there (one of counts and one image of the same name per section)"
    else:
        subfolders = (path.name for path in folder.glob("[!.]*") if path.is_dir())
        names = config.donor_of(subfolders)
        if dataset.reader.kind == "hest":
            files = [folder / name for name in hest_files(config)]
        else:
            files = [file for name in names for file in _files_below(folder / name)]
        files = [file for file in files if file.is_file()]
        empty = not files
        problem = "no section there"
        if names:
            problem = f"no file there of the sections {', '.join(names)}"
        for key, table in (("labels", config.labels), ("composition", config.composition)):
            if table is not None:
                files.append(below(folder, table, f"reader.{key}"))
                if not files[-1].is_file():
                    raise DataError(f"{files[-1]}: no such file; `reader.{key}` names it")
    if empty:
        raise DataError(
            f"{folder}: {problem}; set `source.folder` of the data set in params.yaml to the "
            "folder of your sections"
        )
    out.mkdir()
    record(folder, files, out)


def _files_below(folder: Path) -> list[Path]:
    """Return every file below a folder, including those below symbolic links."""
    return [
        Path(parent) / name
        for parent, _, files in os.walk(folder, followlinks=True)
        for name in files
    ]


def fetch_hub(source: HubSource, config: ReaderConfig) -> None:
    """Fetch the files of a data set's sections from the hub into the source's folder.

    Parameters
    ----------
    source
        Repository, revision, and the folder that the files are written to.
    config
        Configuration of the reader, whose `donors` list the sections.

    Raises
    ------
    ConfigError
        If the name of the repository is not valid.
    DataError
        If the repository lacks a file, it cannot be downloaded, or a different file is at its path.
    """
    from cell_synergy.core.hub import fetch_many  # noqa: PLC0415 - a second that other sources need not

    folder = Path(source.folder).expanduser()
    fetch_many(source.repo, hest_files(config), source.revision, "dataset", folder)


def hest_files(config: ReaderConfig) -> list[str]:
    """Return the paths of the HEST-1k files of all configured sections, relative to the release.

    Spots are read from `st`, cells and patches of cells from `transcripts`.
    """
    counts = "st/{}.h5ad" if config.units == "spots" else "transcripts/{}_transcripts.parquet"
    patterns = (counts, "wsis/{}.tif", "metadata/{}.json")
    return [pattern.format(name) for name in config.donor_of(()) for pattern in patterns]
