"""Files of a section's folder: found by pattern, tables with the columns that are needed."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import ConfigError, DataError

_IMAGES = (".tif", ".tiff", ".btf", ".svs", ".png", ".jpg", ".jpeg")
# What pipelines write beside the slide: Xenium's nuclei and membranes, Space Ranger's pictures. GEO
# puts the name of a sample before that of a file.
_OTHER_IMAGES = re.compile(
    r"^morphology|_morphology(_\w+)?\.ome$|(^|[_.-])(tissue_(hi|low)res_image|detected_tissue_image"
    r"|aligned_fiducials|aligned_tissue_image|cytassist_image)$",
    re.IGNORECASE,
)


def find(folder: Path, pattern: str, what: str = "") -> Path:
    """Return the one path that matches; 10x puts the name of a data set before that of a file."""
    found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    if not found:
        raise DataError(f"{folder}: no {what or pattern.lstrip('*')}; put it there")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: {names} match {pattern!r}; keep one of them there")
    return found[0]


def outputs(folder: Path) -> Path:
    """Return the folder of a pipeline's results: `outs` where there is one."""
    return folder / "outs" if (folder / "outs").is_dir() else folder


def find_image(folder: Path, pattern: str | None) -> Path:
    """Return the H&E image of a section: the one that is named, or the only one in its folder.

    A link may lead anywhere, as those to a slide archive do; a pattern stays below the folder.

    Raises
    ------
    ConfigError
        If the pattern leads out of the folder.
    DataError
        If there is no such image, or more than one.
    """
    if pattern is not None:
        if not pattern.strip() or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise ConfigError(
                f"sections.image is {pattern!r}; give a place below a section's folder, for "
                "example '*_he.tif', and put the image or a link to it there"
            )
        inner = outputs(folder)
        here = any(not path.name.startswith(".") for path in folder.glob(pattern))
        return find(folder if here else inner, pattern, f"image {pattern!r} (sections.image)")
    found = images_in(folder)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder}: needs one full-resolution H&E image, found {names}; put it there or set "
            "sections.image to its place below the section's folder, for example '*_he.tif'"
        )
    return found[0]


def images_in(folder: Path) -> list[Path]:
    """Return the images in a section's folder that may be its slide."""
    return sorted(
        path
        for place in {folder, outputs(folder)}
        for path in place.iterdir()
        if path.name.lower().removesuffix(".gz").endswith(_IMAGES)
        and not path.name.startswith(".")
        and not _OTHER_IMAGES.search(Path(path.name.lower().removesuffix(".gz")).stem)
    )


def read_scale(path: Path, key: str) -> float:
    """Return a positive number of a JSON file: micrometres per pixel."""
    try:
        scale = float(json.loads(path.read_text(encoding="utf-8"))[key])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no number {key!r} ({error}); copy it again") from error
    if not 0 < scale < float("inf"):
        raise DataError(f"{path}: {key!r} is {scale}, which is no scale; copy the file again")
    return scale


def read_frame(
    path: Path, columns: Sequence[str], header: bool = True, text: bool = False
) -> pd.DataFrame:
    """Read a CSV (gzipped or not) or Parquet table that has these columns.

    Without `header`, the columns are those of the file, in their order; with `text`, the words
    and numbers of a CSV stay as they are written: a barcode may be `NA` or `007`.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif header:
            kind = str if text else None
            table = pd.read_csv(path, low_memory=False, dtype=kind, keep_default_na=not text)
        else:
            table = pd.read_csv(path, header=None, names=list(columns))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); copy it again") from error
    if missing := [column for column in columns if column not in table]:
        raise DataError(f"{path}: no column {missing[0]!r}{suggest(missing[0], table.columns)}")
    return table


def words(column: pd.Series) -> pd.Series:
    """Return identifiers as text: some files have them as bytes or as numbers."""
    if any(isinstance(name, bytes) for name in column):
        column = column.map(lambda name: name.decode() if isinstance(name, bytes) else name)
    return column.astype(str)
