"""Files of a section's folder: search by pattern, reading of tables with a check of columns."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

import pandas as pd
import pyarrow as pa

from cell_synergy.core import filetypes
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.labels import MISSING
from cell_synergy.core.messages import suggest
from cell_synergy.raw.external_files import IMAGES

AGAIN = "copy it again"
_IDENTIFIERS = ("barcode", "cell_id", "section")
# Images that pipelines write beside the slide: Xenium's nuclei and membranes, Space Ranger's
# downscaled and diagnostic images. GEO puts the name of a sample before the name of a file.
_PIPELINE_IMAGES = re.compile(
    r"^morphology|_morphology(_\w+)?\.ome$|(^|[_.-])(tissue_(hi|low)res_image|detected_tissue_image"
    r"|aligned_fiducials|aligned_tissue_image|cytassist_image)$",
    re.IGNORECASE,
)


def find(folder: Path, pattern: str, what: str = "") -> Path:
    """Return the only path in a folder that matches a pattern.

    Parameters
    ----------
    folder, pattern
        The folder, and a pattern of `Path.glob`, which usually begins with `*`, since 10x prefixes
        file names with the name of the data set. Hidden paths do not match.
    what
        Description of the file in messages; by default the pattern.

    Raises
    ------
    DataError
        If no path matches, more than one does, or the pattern leads out of the folder.
    """
    paths = matches(folder, pattern)
    if not paths:
        raise DataError(f"{folder}: no {what or pattern.lstrip('*')}; put it there")
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise DataError(f"{folder}: {names} match {pattern!r}; keep one of them there")
    return paths[0]


def matches(folder: Path, *patterns: str) -> list[Path]:
    """Return the paths that match the first pattern with any match, sorted and without hidden ones.

    Parameters
    ----------
    folder
        The folder; no match in it gives an empty list.
    *patterns
        Patterns of `Path.glob`, by preference; `DataError` for one that leads out of the folder.
    """
    for pattern in patterns:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise DataError(f"{folder}: {pattern!r} leads out of this folder; give a path below it")
        paths = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        if paths:
            return paths
    return []


def require_parts(folder: Path, parts: Mapping[str, Sequence[str]], layout: str) -> None:
    """Raise a `DataError` for a folder with missing files; one message names all of them.

    Parameters
    ----------
    folder
        Folder of the files.
    parts
        Patterns of each required file, one of which must match, by the file's name for messages.
    layout
        Description of such a folder, for messages about more than one missing file.
    """
    missing = [name for name, patterns in parts.items() if not matches(folder, *patterns)]
    if not missing:
        return
    message = f"{folder}: no {', no '.join(missing)}; put "
    if len(missing) == 1:
        raise DataError(f"{message}it there")
    raise DataError(f"{message}them there ({layout})")


def outputs(folder: Path) -> Path:
    """Return the folder of a pipeline's results: the subfolder `outs` if it exists."""
    return folder / "outs" if (folder / "outs").is_dir() else folder


def has_image(folder: Path, pattern: str | None) -> bool:
    """Return whether a section's folder has any candidate for `find_image`.

    Parameters
    ----------
    folder, pattern
        The section's folder; `reader.image` (None for any image), `DataError` if outside of it.
    """
    if pattern is None:
        return bool(images_in(folder))
    return any(bool(matches(parent, pattern)) for parent in {folder, outputs(folder)})


def find_image(folder: Path, pattern: str | None) -> Path:
    """Return the H&E image of a section: the match of a pattern, or the only image in the folder.

    The image may be a symbolic link to any place, for example to a slide archive; the pattern must
    not lead out of the folder.

    Parameters
    ----------
    folder
        The section's folder.
    pattern
        `reader.image`; None for the only image in the folder.

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
                f"reader.image is {pattern!r}; give a path below a section's folder, for "
                "example '*_he.tif', and put the image or a link to it there"
            )
        in_folder = any(not path.name.startswith(".") for path in folder.glob(pattern))
        parent = folder if in_folder else outputs(folder)
        return find(parent, pattern, f"image {pattern!r} (reader.image)")
    images = images_in(folder)
    if len(images) != 1:
        names = ", ".join(path.name for path in images) or "none"
        raise DataError(
            f"{folder}: needs one full-resolution H&E image, found {names}; put it there or set "
            "reader.image to its path below the section's folder, for example '*_he.tif'"
        )
    return images[0]


def images_in(folder: Path) -> list[Path]:
    """Return the images in a section's folder, or in `outs`, that pipelines did not make."""
    return sorted(
        path
        for parent in {folder, outputs(folder)}
        for path in parent.iterdir()
        if path.name.lower().removesuffix(".gz").endswith(IMAGES)
        and not path.name.startswith(".")
        and not _PIPELINE_IMAGES.search(Path(path.name.lower().removesuffix(".gz")).stem)
    )


def read_scale(path: Path, key: str) -> float:
    """Return a positive, finite number from a JSON file, such as a pixel's size in micrometres.

    Parameters
    ----------
    path, key
        The JSON file, and the number's key at the top level.

    Raises
    ------
    DataError
        If the file cannot be read, the key is missing, or its value is not positive and finite.
    """
    value = filetypes.read_json(path, f"a JSON file with {key!r}", AGAIN).get(key)
    try:
        scale = float(None if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: no number {key!r}; {AGAIN}") from error
    if not 0 < scale < float("inf"):
        raise DataError(
            f"{path}: {key!r} is {scale}, which is not a positive number; copy the file again"
        )
    return scale


def read_frame(
    path: Path, columns: Sequence[str], header: bool = True, text: bool = False
) -> pd.DataFrame:
    """Return the table in a CSV (gzipped or not) or Parquet file, after a check of its columns.

    A CSV may have a byte order mark, quotes, and commas, tabs or semicolons as separators. The
    columns `barcode`, `cell_id` and `section` are read as text exactly as written, since a name may
    be `NA` or `007`. In other columns the usual markers (`NA`, empty, ...) are missing values.

    Parameters
    ----------
    path
        The table.
    columns
        Names of the columns that the table must have.
    header
        Whether the first line of a CSV has names; if not, `columns` names all columns in order.
    text
        Whether all columns of a CSV are read as text.

    Raises
    ------
    DataError
        If the table cannot be read, has two columns of one name, or lacks a column.
    """
    try:
        if path.suffix == ".parquet":
            filetypes.require_readable(path, "a table", AGAIN)
            table = pd.read_parquet(path)
        else:
            table = _read_csv(path, None if header else list(columns), text)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); copy it again") from error
    if missing := [column for column in columns if column not in table]:
        raise DataError(f"{path}: no column {missing[0]!r}{suggest(missing[0], table.columns)}")
    return table


def first_row(path: Path) -> tuple[list[str], str]:
    """Return the fields of a text table's first line, and its separator (comma, tab, semicolon).

    `DataError` if the file is missing or is not text in UTF-8 or UTF-16.
    """
    try:
        with _open_text(path) as file:
            line = file.readline().rstrip("\r\n")
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8 ({error}); save it in UTF-8") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); copy it again") from error
    separator = max(",\t;", key=line.count)
    parsed = next(csv.reader([line], delimiter=separator), [])
    return [cell.strip() for cell in parsed], separator


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, gzipped or not; `DataError` if the file cannot be read."""
    with _open_text(path) as file:
        return file.read().split("\n")


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, decompressed if it is gzip; `DataError` if it is unusable."""
    gzipped = filetypes.require_readable(path, "a table", AGAIN) == filetypes.GZIP
    with gzip.open(path, "rb") if gzipped else path.open("rb") as binary:
        yield cast("IO[bytes]", binary)


@contextmanager
def _open_text(path: Path) -> Iterator[TextIOWrapper]:
    with open_unpacked(path) as binary:
        utf16 = binary.read(2) in {b"\xff\xfe", b"\xfe\xff"}  # a spreadsheet's "Unicode text"
        binary.seek(0)
        yield TextIOWrapper(binary, encoding="utf-16" if utf16 else "utf-8-sig")


def _read_csv(path: Path, names: list[str] | None, text: bool) -> pd.DataFrame:
    columns, separator = first_row(path)
    if names is not None:
        columns = names
    elif duplicates := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise ValueError(f"column {duplicates[0]!r} occurs twice")
    with _open_text(path) as file:
        table: pd.DataFrame = pd.read_csv(
            file,
            sep=separator,
            header=None if names else 0,
            names=names,
            low_memory=False,
            skipinitialspace=True,
            dtype=str if text else {name: str for name in columns if name in _IDENTIFIERS},
            keep_default_na=False,
            na_values={name: sorted(MISSING) for name in columns if name not in _IDENTIFIERS},
        )
    return table if names else table.rename(columns=lambda name: str(name).strip())


def as_text(column: pd.Series) -> pd.Series:
    """Return identifiers as text, since some files store them as bytes or as numbers."""
    if any(isinstance(name, bytes) for name in column):
        column = column.map(lambda name: name.decode() if isinstance(name, bytes) else name)
    return column.astype(str)
