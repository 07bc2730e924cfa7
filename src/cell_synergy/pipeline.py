"""What dvc.yaml says about a stage, for commands that are run by hand."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cell_synergy.core.config import section, suggest
from cell_synergy.core.errors import ConfigError

PIPELINE = Path("dvc.yaml")


def paths(stage: str, item: Mapping[str, str]) -> dict[str, str]:
    """Return the `name=value` arguments of a stage's command, its matrix axes set to `item`.

    Works for any data set of params.yaml, also for one that `datasets` does not list.
    """
    stages: dict[str, Any] = YAML(typ="safe").load(PIPELINE)["stages"]
    if stage not in stages:
        raise ConfigError(f"{PIPELINE.name} has no stage {stage!r}{suggest(stage, stages)}")
    values = {f"item.{axis}": value for axis, value in item.items()}
    values |= {f"experts.{kind}": str(name) for kind, name in section("experts").items()}
    command = re.sub(r"\$\{([\w.]+)\}", lambda found: values[found[1]], stages[stage]["cmd"])
    words = (word.partition("=") for word in command.split())
    return {name: value for name, equals, value in words if equals}
