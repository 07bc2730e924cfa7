"""Members of published containers: files of a zip, tables of an R workspace, gzipped tables.

Count tables are rewritten in the layout of the original Spatial Transcriptomics release: one row
per spot, one column per gene, tab-separated integers, `<x>x<y>` as the name of each row, and an
empty corner; rows and columns keep the order of the published object.
"""

import gzip
import hashlib
import lzma
import re
import shutil
import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest

_MAX_BYTES = 2**33  # of one member; protects the disk from wrong or malicious archives
_READ_ERRORS = (
    AssertionError, AttributeError, BadZipFile, EOFError, LookupError, lzma.LZMAError, MemoryError,
    NotImplementedError, OSError, RecursionError, RuntimeError, struct.error, TypeError, ValueError,
    zlib.error,
)  # fmt: skip
KINDS = ("zip", "rdata", "table")
"""Values of `unpack` before the colon."""

_SPOT_NAME = re.compile(r"X?(\d+(?:\.\d+)?x\d+(?:\.\d+)?)")


def unpack(container: Path, how: str, target: Path) -> None:
    """Copy or rewrite one member of a container to the file `target`.

    Parameters
    ----------
    container
        The file as published.
    how
        `zip:<member>` copies a file out of a zip; `rdata:<object>` rewrites a matrix or data frame
        of an R workspace, and `table:` a gzipped tab-separated table, as gzipped counts.
    target
        File to write.

    Raises
    ------
    DataError
        If `how` is of another form, the container cannot be read or lacks the member, a member of a
        zip is larger than 8 GiB, or a member that is rewritten is not a table of counts of spots.
    """
    kind, _, member = how.partition(":")
    if kind not in KINDS:
        raise DataError(f"cannot unpack {how!r}; one of {', '.join(KINDS)} goes before the ':'")
    try:
        if kind == "zip":
            _extract(container, member, target)
        elif kind == "rdata":
            write_counts(_r_table(container, member), target)
        else:
            write_counts(pd.read_csv(container, sep="\t", index_col=0, compression="gzip"), target)
    except DataError:
        raise
    except _READ_ERRORS as error:
        reason = (
            filetypes.unusable_reason(container, "what holds it") or f"cannot be read ({error})"
        )
        raise DataError(
            f"the container of {target.name} {reason}; run again, or use a mirror that has the file"
        ) from error


def has_text_checksum(how: str) -> bool:
    """Return whether `unpack` rewrites a file as gzip, whose decompressed text is then hashed.

    Parameters
    ----------
    how
        Column `unpack` of a manifest: `zip:<member>`, `rdata:<object>`, `table:`, or "".
    """
    return how.partition(":")[0] in {"rdata", "table"}


def checksum(path: Path, *, text: bool) -> str:
    """Return the SHA-256 of a file or of its decompressed content, as hexadecimal digits.

    Parameters
    ----------
    path
        The file.
    text
        Whether the file is a gzip whose decompressed content is hashed; the result is "" if it
        cannot be decompressed.
    """
    try:
        with gzip.open(path) if text else path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return ""
    return digest.hexdigest()


def write_counts(table: pd.DataFrame, target: Path) -> None:
    """Write counts as gzipped text, spots x genes; a genes x spots table is transposed.

    Parameters
    ----------
    table
        Counts, with spots named `<x>x<y>` (in R `X<x>x<y>`) along one axis.
    target
        File to write: tab-separated text in gzip, equal bytes for equal tables.

    Raises
    ------
    DataError
        If neither axis consists of names of spots, or a value is not a non-negative integer.
    """
    spots = _spot_names(table.index)
    if spots is None:
        table = table.T
        spots = _spot_names(table.index)
    if spots is None:
        raise DataError(
            f"the source of {target.name} has no axis of spots named <x>x<y>; "
            "upstream has changed, get the file from another mirror"
        )
    values = table.to_numpy(dtype=np.float64, na_value=np.nan)
    invalid = ~((values >= 0) & (values == np.floor(values)))
    if invalid.any():
        row, column = np.argwhere(invalid)[0]
        raise DataError(
            f"the source of {target.name} has {values[row, column]} for spot {spots[row]}, gene "
            f"{table.columns[column]}, which is not a count; get the file from another mirror"
        )
    counts = pd.DataFrame(values.astype(np.int64), index=spots, columns=table.columns)
    # The gzip header has neither time nor name, so that equal tables give equal bytes.
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        file.write(counts.to_csv(sep="\t", lineterminator="\n").encode())


def _spot_names(names: pd.Index) -> list[str] | None:
    """Return the names without the prefix X of R; None if they are not names of spots."""
    matches = [_SPOT_NAME.fullmatch(str(name)) for name in names]
    spots = [match.group(1) for match in matches if match]
    return spots if spots and len(spots) == len(matches) else None


def _extract(container: Path, member: str, target: Path) -> None:
    with ZipFile(container) as archive:
        if member not in archive.namelist():
            raise DataError(
                f"{target.name}: the zip has no {member!r}{suggest(member, archive.namelist())}"
            )
        if (size := archive.getinfo(member).file_size) > _MAX_BYTES:
            raise DataError(
                f"{target.name}: would be {size / 1e9:.0f} GB out of its zip, over the limit "
                f"of {_MAX_BYTES / 1e9:.0f} GB; check the manifest's address"
            )
        with archive.open(member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)


def _r_table(container: Path, name: str) -> pd.DataFrame:
    import rdata  # noqa: PLC0415 - a second that only R files need

    objects = rdata.read_rda(container)
    if name not in objects:
        raise DataError(f"the R workspace has no {name!r}{suggest(name, objects)}")
    value = objects[name]
    # rdata returns a matrix with row and column names as an xarray.DataArray.
    table = value.to_pandas() if hasattr(value, "to_pandas") else value
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{name} is a {type(value).__name__}, not a named matrix or data frame")
    return table
