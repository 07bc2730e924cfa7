"""docs/pipeline.md shows the pipeline as it is: drawing and stages are those of dvc.yaml."""

import os
import re
import subprocess
import sys
from pathlib import Path

from dvc.repo import Repo

from cell_synergy import models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/pipeline.md").read_text()


def drawing():
    """Return the drawing that DVC makes of the stages, without `code`, on which all depend."""
    words = ["dag", "--collapse-foreach-matrix", "--mermaid", "dvc.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip
    names = dict(re.findall(r'(node\d+)\["(\w+)"\]', done.stdout))
    edges = [
        f"    {names[source]} --> {names[target]}"
        for source, target in re.findall(r"(node\d+)-->(node\d+)", done.stdout)
        if names[source] != "code"
    ]
    return "\n".join(["```mermaid", "flowchart TD", *sorted(edges), "```"])


def test_the_drawing_is_that_of_the_pipeline():
    assert drawing() in PAGE, f"docs/pipeline.md needs this drawing:\n{drawing()}"


def test_every_stage_has_a_row_with_its_number_of_instances():
    counts: dict[str, int] = {}
    per_method = len(models.names())
    with Repo(str(ROOT)) as repo:
        for stage in (each for each in repo.index.stages if each.path_in_repo == "dvc.yaml"):
            name = stage.addressing.partition("@")[0]
            counts[name] = counts.get(name, 0) + 1
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| (\d+)( per method)? \|", PAGE, re.MULTILINE)
    shown = {name: int(count) * (per_method if each else 1) for name, count, each in rows}
    assert shown == counts
