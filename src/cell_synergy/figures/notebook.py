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
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import suggest

_VOLATILE = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled")


class NotebookError(RuntimeError):
    """Failure of a cell, with its traceback and the path of the executed copy in the message."""


class IpcKernelManager(AsyncKernelManager):
    """Kernels that communicate over unix sockets, so that no TCP port is open on a shared node."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - passed on
        settings.setdefault("transport", "ipc")
        super().__init__(**settings)


def run(notebook: Path, parameters: Mapping[str, Any], out: Path) -> None:
    """Execute a notebook in the working directory and write the executed copy.

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
    source.metadata["kernelspec"] = {
        "name": "python3", "language": "python", "display_name": "Python 3",
    }  # fmt: skip
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
                log_output=False, cwd=str(Path.cwd()), record_timing=False,
                kernel_manager_class=IpcKernelManager,
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
        if "text" in output:
            output.text = re.sub(r"0x[0-9a-f]{6,}", "0x0", output.text)
    return merged
