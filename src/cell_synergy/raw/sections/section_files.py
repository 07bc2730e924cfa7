"""Files of a section's folder: found by pattern, tables with the columns that are needed."""

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
from cell_synergy.core.config import suggest
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.labels import MISSING
from cell_synergy.raw.external_files import IMAGES

AGAIN = "copy it again"
IDENTIFIERS = ("barcode", "cell_id", "section")
# What pipelines write beside the slide: Xenium's nuclei and membranes, Space Ranger's pictures. GEO
# puts the name of a sample before that of a file.
_OTHER_IMAGES = re.compile(
    r"^morphology|_morphology(_\w+)?\.ome$|(^|[_.-])(tissue_(hi|low)res_image|detected_tissue_image"
    r"|aligned_fiducials|aligned_tissue_image|cytassist_image)$",
    re.IGNORECASE,
)


def find(folder: Path, pattern: str, what: str = "") -> Path:
    """Return the one path that matches; 10x puts the name of a data set before that of a file."""
    found = matches(folder, pattern)
    if not found:
        raise DataError(f"{folder}: no {what or pattern.lstrip('*')}; put it there")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: {names} match {pattern!r}; keep one of them there")
    return found[0]


def matches(folder: Path, *patterns: str) -> list[Path]:
    """Return what matches any of the patterns, which stay inside the folder; hidden files do not.

    Where several patterns match, those of the first that does.
    """
    for pattern in patterns:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise DataError(
                f"{folder}: {pattern!r} leads out of this folder; name a place below it"
            )
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        if found:
            return found
    return []


def require_parts(folder: Path, parts: Mapping[str, Sequence[str]], layout: str) -> None:
    """Refuse a folder that lacks parts, all of them in one sentence.

    Parameters
    ----------
    folder
        Where they belong.
    parts
        What each is called in a message, and the patterns of which one has to match.
    layout
        What such a folder holds, to end the message with; said where more than one part lacks.
    """
    lacking = [name for name, patterns in parts.items() if not matches(folder, *patterns)]
    if lacking:
        them, tail = ("them", f" ({layout})") if len(lacking) > 1 else ("it", "")
        raise DataError(f"{folder}: no {', no '.join(lacking)}; put {them} there{tail}")


def outputs(folder: Path) -> Path:
    """Return the folder of a pipeline's results: `outs` where there is one."""
    return folder / "outs" if (folder / "outs").is_dir() else folder


def has_image(folder: Path, pattern: str | None) -> bool:
    """Say whether a section's folder has anything that `find_image` would look at."""
    if pattern is None:
        return bool(images_in(folder))
    return any(bool(matches(place, pattern)) for place in {folder, outputs(folder)})


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
        if path.name.lower().removesuffix(".gz").endswith(IMAGES)
        and not path.name.startswith(".")
        and not _OTHER_IMAGES.search(Path(path.name.lower().removesuffix(".gz")).stem)
    )


def read_scale(path: Path, key: str) -> float:
    """Return a positive number of a JSON file: micrometres per pixel."""
    found = filetypes.read_json(path, f"a JSON file with {key!r}", AGAIN).get(key)
    try:
        scale = float(None if isinstance(found, bool) else found)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: no number {key!r}; {AGAIN}") from error
    if not 0 < scale < float("inf"):
        raise DataError(f"{path}: {key!r} is {scale}, which is no scale; copy the file again")
    return scale


def read_frame(
    path: Path, columns: Sequence[str], header: bool = True, text: bool = False
) -> pd.DataFrame:
    """Read a CSV (gzipped or not) or Parquet table that has these columns.

    A CSV may begin with a byte order mark, have quotes, and tabs or semicolons for commas. The
    columns `barcode`, `cell_id` and `section` hold names, which are text as it is written: one may
    be `NA` or `007`. In other columns the usual words (`NA`, empty, ...) are missing values.

    Without `header`, the columns are those of the file, in their order; with `text`, the numbers
    of a CSV stay as they are written.
    """
    try:
        if path.suffix == ".parquet":
            filetypes.required(path, "a table", AGAIN)
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
    """Return the words of a table's first line, and what separates them."""
    try:
        with _opened(path) as file:
            line = file.readline().rstrip("\r\n")
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text in UTF-8 ({error}); save it in UTF-8") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); copy it again") from error
    separator = max(",\t;", key=line.count)
    parsed = next(csv.reader([line], delimiter=separator), [])
    return [word.strip() for word in parsed], separator


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, gzipped or not, without a byte order mark."""
    with _opened(path) as file:
        return file.read().split("\n")


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that may be gzipped, whatever it is called."""
    packed = filetypes.required(path, "a table", AGAIN) == filetypes.GZIP
    with gzip.open(path, "rb") if packed else path.open("rb") as binary:
        yield cast("IO[bytes]", binary)


@contextmanager
def _opened(path: Path) -> Iterator[TextIOWrapper]:
    with unpacked(path) as binary:
        wide = binary.read(2) in {b"\xff\xfe", b"\xfe\xff"}  # a spreadsheet's "Unicode text"
        binary.seek(0)
        yield TextIOWrapper(binary, encoding="utf-16" if wide else "utf-8-sig")


def _read_csv(path: Path, names: list[str] | None, text: bool) -> pd.DataFrame:
    known, separator = first_row(path)
    if names is not None:
        known = names
    elif twice := sorted({name for name in known if name and known.count(name) > 1}):
        raise ValueError(f"column {twice[0]!r} occurs twice")
    with _opened(path) as file:
        table: pd.DataFrame = pd.read_csv(
            file,
            sep=separator,
            header=None if names else 0,
            names=names,
            low_memory=False,
            skipinitialspace=True,
            dtype=str if text else {name: str for name in known if name in IDENTIFIERS},
            keep_default_na=False,
            na_values={name: sorted(MISSING) for name in known if name not in IDENTIFIERS},
        )
    return table if names else table.rename(columns=lambda name: str(name).strip())


def words(column: pd.Series) -> pd.Series:
    """Return identifiers as text: some files have them as bytes or as numbers."""
    if any(isinstance(name, bytes) for name in column):
        column = column.map(lambda name: name.decode() if isinstance(name, bytes) else name)
    return column.astype(str)
