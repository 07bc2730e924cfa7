"""Inputs and outputs of stages, read from dvc.yaml for commands that a user runs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.messages import suggest
from cell_synergy.core.yaml import mapping_of

PIPELINE = Path("dvc.yaml")


def paths(stage: str, item: Mapping[str, str], experts: Mapping[str, object]) -> dict[str, str]:
    """Return the value of each `name=value` argument of a stage's command in dvc.yaml, by name.

    Variables of the command, `${item.AXIS}` and `${experts.MODALITY}`, are replaced by their
    values. The data set need not be listed under `datasets` of params.yaml.

    Parameters
    ----------
    stage
        Name of the stage.
    item
        Value of each axis of the stage's matrix, by axis, such as the data set and the method.
    experts
        Section `experts` of params.yaml: name of the expert of each modality.

    Raises
    ------
    ConfigError
        If dvc.yaml cannot be read, there is no such stage, the stage has no command, or the command
        has a variable without a value.
    """
    stages: dict[str, Any] = mapping_of(PIPELINE).get("stages") or {}
    if stage not in stages:
        raise ConfigError(f"{PIPELINE.name} has no stage {stage!r}{suggest(stage, stages)}")
    values = {f"item.{axis}": value for axis, value in item.items()}
    values |= {f"experts.{kind}": str(name) for kind, name in experts.items()}

    def fill(variable: re.Match[str]) -> str:
        name = variable[1]
        if name not in values:
            remedy = f"add it to params.yaml{suggest(name, values)}"
            raise ConfigError(f"{PIPELINE.name}: stage {stage!r} needs {name}; {remedy}")
        return values[name]

    try:
        command = str(stages[stage]["cmd"])
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{PIPELINE.name}: stage {stage!r} has no cmd; add it") from error
    assignments = [
        (re.sub(r"\$\{([\w.]+)\}", fill, word)).partition("=") for word in command.split()
    ]
    return {name: value for name, equals, value in assignments if equals}
