"""Execution of parameterised py:percent notebooks; equal results give equal bytes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
import papermill
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import suggest
from cell_synergy.figures._in_process import InProcessEngine

_VOLATILE = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled")
_ENGINE = "in-process"
_METADATA = {
    "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}


class NotebookError(RuntimeError):
    """Failure of a cell, with its traceback and the path of the executed copy in the message."""


def run(notebook: Path, parameters: Mapping[str, Any], out: Path) -> None:
    """Execute a notebook in this process and its working directory; write the executed copy.

    Times, identifiers of cells and memory addresses are removed, so that equal results have equal
    bytes.

    Parameters
    ----------
    notebook
        The py:percent notebook.
    parameters
        Values of variables, by name, that replace those in the cell tagged `parameters`.
    out
        Path of the executed copy, an `.ipynb`.

    Raises
    ------
    ConfigError
        If the notebook has no cell tagged `parameters`, or a parameter is not assigned in it.
    NotebookError
        If a cell fails; the copy executed up to that cell is written to the folder of `out` as
        `<name>.failed.ipynb`.
    """
    source = jupytext.read(notebook)
    if not any("parameters" in cell.metadata.get("tags", []) for cell in source.cells):
        raise ConfigError(f"{notebook}: no cell is tagged 'parameters'; tag the first code cell")
    source.metadata.update(_METADATA)
    papermill_engines.register(_ENGINE, InProcessEngine)
    failed = out.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with TemporaryDirectory() as folder:
        before, after = Path(folder, "in.ipynb"), Path(folder, "out.ipynb")
        nbformat.write(source, before)  # type: ignore[no-untyped-call]
        declared = papermill.inspect_notebook(str(before))
        for name in set(parameters) - set(declared):
            raise ConfigError(f"{notebook}: no parameter {name!r}{suggest(name, declared)}")
        try:
            papermill.execute_notebook(
                str(before), str(after), parameters=dict(parameters), progress_bar=False,
                log_output=False, cwd=str(Path.cwd()), engine_name=_ENGINE, ipython_dir=folder,
            )  # fmt: skip
        except PapermillExecutionError as error:
            out.parent.mkdir(parents=True, exist_ok=True)
            failed.write_bytes(after.read_bytes())
            raise NotebookError(f"{notebook}: {error}\nexecuted copy: {failed}") from error
        executed = _normalise(nbformat.read(after, as_version=4))  # type: ignore[no-untyped-call]
    with atomic_write(out) as new:
        new.write_text(json.dumps(executed, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove what differs between equal runs: times, cell ids, stream chunks, addresses."""
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"c{number:03d}"
        for key in _VOLATILE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    return notebook


def _merge_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join consecutive chunks of a stream, whose boundaries depend on timing."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        previous = merged[-1] if merged else None
        if (
            output.output_type == "stream"
            and previous is not None
            and previous.output_type == "stream"
            and previous.name == output.name
        ):
            previous.text += output.text
        else:
            merged.append(output)
    for output in merged:
        texts, key = (
            (output, "text") if "text" in output else (output.get("data", {}), "text/plain")
        )
        if key in texts:
            texts[key] = re.sub(r"0x[0-9a-f]{6,}", "0x0", texts[key])
    return merged
