"""A papermill engine that runs cells in this process: a kernel would import everything anew."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import nbformat
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from pandas import option_context
from papermill.engines import Engine, NotebookExecutionManager
from traitlets import Type
from traitlets.config import Config

# Of a kernel; without them the width of the terminal says how tables are printed.
_TABLES = ("display.max_columns", 20, "display.width", 80)


_Value = tuple[dict[str, Any], dict[str, Any]]


class _DisplayHook(DisplayHook):
    """Keeps the value of a cell's last expression, in all its formats, instead of printing it."""

    _value: _Value | None = None

    def write_output_prompt(self) -> None:
        """Write nothing."""

    def write_format_data(
        self, format_dict: Mapping[str, Any], md_dict: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the formats and their metadata.

        Parameters
        ----------
        format_dict, md_dict
            Text by MIME type, and metadata by MIME type.
        """
        self._value = (dict(format_dict), dict(md_dict or {}))

    def take(self) -> _Value | None:
        """Return what was kept, by MIME type: texts and metadata; and forget it."""
        value, self._value = self._value, None
        return value


class _Shell(InteractiveShell):
    """An IPython shell without a terminal, which keeps the error of a cell."""

    displayhook_class = Type(_DisplayHook)
    error: tuple[str, str, list[str]] | None = None

    def _showtraceback(
        self, etype: type[BaseException], evalue: BaseException, stb: list[str]
    ) -> None:
        self.error = (etype.__name__, str(evalue), stb)


class InProcessEngine(Engine):  # type: ignore[misc]
    """Runs cells in an IPython shell of this process, up to the first error.

    Of the outputs of a cell, streams come before displays. State that the cells change outside
    their namespace, such as matplotlib's settings, remains changed.
    """

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        ipython_dir: str,
        **others: object,
    ) -> None:
        """Run all code cells.

        Parameters
        ----------
        nb_man
            The notebook, and functions to call before and after a cell.
        kernel_name, others
            What papermill tells engines of kernels; not used, as there is none.
        ipython_dir
            Empty folder for the files of IPython.
        """
        shell = _Shell.instance(
            config=Config({"HistoryManager": {"enabled": False}}), ipython_dir=ipython_dir,
            user_module=ModuleType("figure"),
        )  # fmt: skip
        del kernel_name, others
        try:
            with option_context(*_TABLES):
                _run_cells(shell, nb_man)
        finally:
            _Shell.clear_instance()


def _run_cells(shell: _Shell, nb_man: NotebookExecutionManager) -> None:
    """Run the code cells up to the first error."""
    for index, cell in enumerate(nb_man.nb.cells):
        if cell.cell_type != "code":
            continue
        nb_man.cell_start(cell, index)
        _run_cell(shell, cell)
        if shell.error is not None:
            nb_man.cell_exception(cell, index)
            break
        nb_man.cell_complete(cell, index)


def _run_cell(shell: _Shell, cell: nbformat.NotebookNode) -> None:
    """Run a cell, and store its outputs in it."""
    execute: Any = shell.run_cell
    new: Any = nbformat.v4.new_output
    with capture_output() as captured:
        count = execute(cell.source, store_history=True).execution_count
    streams = {"stdout": captured.stdout, "stderr": captured.stderr}
    cell.execution_count = count
    cell.outputs = [new("stream", name=name, text=text) for name, text in streams.items() if text]
    for shown in captured.outputs:
        cell.outputs.append(new("display_data", data=shown.data, metadata=shown.metadata or {}))
    hook: Any = shell.displayhook
    if kept := hook.take():
        data, metadata = kept
        cell.outputs.append(
            new("execute_result", data=data, metadata=metadata, execution_count=count)
        )
    if shell.error is not None:
        name, value, lines = shell.error
        cell.outputs.append(new("error", ename=name, evalue=value, traceback=lines))
