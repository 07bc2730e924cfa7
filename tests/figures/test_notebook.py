"""Notebooks are executed in this process; equal results give equal bytes, and errors a copy."""

import json
import sys

import pytest
from IPython.core.getipython import get_ipython

from cell_synergy.core.errors import ConfigError
from cell_synergy.figures.notebook import NotebookError, run

HEAD = '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nfigure = "given"\n\n# %%\n'
TABLE = "import pandas as pd\npd.DataFrame({f'column_{i}': [i] for i in range(15)})\n"


def execute(tmp_path, source, **parameters):
    """Run a notebook and return the cells of the executed copy."""
    path = tmp_path / "figure.py"
    path.write_text(HEAD + source)
    run(path, parameters, tmp_path / "figure.ipynb")
    return json.loads((tmp_path / "figure.ipynb").read_text())["cells"]


def test_the_parameter_is_replaced_and_every_kind_of_output_is_in_the_copy(tmp_path):
    source = (
        "import sys\nfrom IPython.display import HTML, display\nprint(figure)\n"
        "print('warned', file=sys.stderr)\ndisplay(HTML('<b>x</b>'))\nlen(figure)\n"
    )
    cells = execute(tmp_path, source, figure="drawn")
    assert cells[2]["metadata"]["tags"] == ["injected-parameters"]
    out, err, shown, value = cells[3]["outputs"]
    assert (out["name"], out["text"]) == ("stdout", "drawn\n")
    assert (err["name"], err["text"]) == ("stderr", "warned\n")
    assert shown["data"]["text/html"] == "<b>x</b>"
    assert (value["output_type"], value["data"]["text/plain"]) == ("execute_result", "5")
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3]


def test_a_second_run_in_a_narrower_terminal_has_equal_bytes(tmp_path, monkeypatch):
    first = execute(tmp_path, TABLE + "\n# %%\nobject()\n")
    monkeypatch.setenv("COLUMNS", "40")
    assert execute(tmp_path, TABLE + "\n# %%\nobject()\n") == first
    assert "column_14" in first[2]["outputs"][0]["data"]["text/plain"]


def test_nothing_of_a_run_remains_in_the_next_one_or_in_this_process(tmp_path):
    hook, main = sys.displayhook, sys.modules["__main__"]
    execute(tmp_path, "left_over = 1\n")
    assert sys.displayhook is hook
    assert sys.modules["__main__"] is main
    assert get_ipython() is None
    with pytest.raises(NotebookError, match="left_over"):
        execute(tmp_path, "left_over\n")


def test_an_error_leaves_a_copy_up_to_its_cell_which_a_good_run_removes(tmp_path):
    bad = "print('before')\n1 / 0\n\n# %%\nprint('after')\n"
    with pytest.raises(NotebookError, match="ZeroDivisionError") as error:
        execute(tmp_path, bad)
    failed = tmp_path / "figure.failed.ipynb"
    assert str(failed) in str(error.value)
    assert not (tmp_path / "figure.ipynb").exists()
    cells = json.loads(failed.read_text())["cells"]
    outputs = [cell.get("outputs") for cell in cells if cell["cell_type"] == "code"]
    assert [output["output_type"] for output in outputs[-2]] == ["stream", "error"]
    assert outputs[-1] == []
    execute(tmp_path, "1\n")
    assert not failed.exists()


def test_a_parameter_that_the_notebook_lacks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no parameter 'figur'.*'figure'"):
        execute(tmp_path, "1\n", figur="x")
