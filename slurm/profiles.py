"""Resources of jobs by stage, from slurm/profiles.yaml and files of the site."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveInt
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cell_synergy.core.config import Config, merge, validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.messages import suggest
from runner.plan import base_name

TRACKED = Path("slurm", "profiles.yaml")
LOCAL = Path("slurm", "profiles.local.yaml")
_VARIABLE = "CELL_SYNERGY_SLURM"
_DEFAULT = "default"
_NOT_SBATCH = ("warning", "restarts", "modules", "setup")

_Option = Annotated[str, Field(coerce_numbers_to_str=True)] | None


class Profile(Config):
    """Resources of a job; slurm/profiles.yaml explains every key (with `-` in place of `_`)."""

    model_config = Config.model_config | {"alias_generator": lambda name: name.replace("_", "-")}

    partition: _Option = None
    account: _Option = None
    qos: _Option = None
    constraint: _Option = None
    gpus: _Option = None
    gres: _Option = None
    mem: _Option = None
    cpus_per_task: _Option = None
    time: _Option = None
    warning: PositiveInt | None = None
    restarts: NonNegativeInt = 0
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """Return the options for `sbatch`, such as `--mem=8G`, of the keys that have a value."""
        values = self.model_dump(by_alias=True, exclude_none=True, exclude=set(_NOT_SBATCH))
        options = [f"--{name}={value}" for name, value in values.items()]
        return options + ([f"--signal=B:USR1@{self.warning}"] if self.warning else [])


_KEYS = [str(field.alias) for field in Profile.model_fields.values()]


class Profiles:
    """Sections of all profile files, merged: values of later files override those of earlier ones.

    The files are slurm/profiles.yaml, slurm/profiles.local.yaml and the file that the environment
    variable `CELL_SYNERGY_SLURM` names, if there are such files.

    Parameters
    ----------
    root
        Folder of the repository.
    stages
        Names of all stages; a section has the name of a stage, of an instance, or `default`.

    Raises
    ------
    ConfigError
        If a file is not YAML, a section or a key is unknown, a value is not valid, or the file that
        the environment variable `CELL_SYNERGY_SLURM` names is missing.
    """

    def __init__(self, root: Path, stages: Iterable[str]) -> None:
        valid = {_DEFAULT, *stages} | {base_name(name) for name in stages}
        files = [root / TRACKED, root / LOCAL]
        self.sections: dict[str, Any] = {}
        if path := os.environ.get(_VARIABLE):
            files.append(Path(path))
            if not files[-1].is_file():
                raise ConfigError(f"${_VARIABLE}: there is no file {path}")
        for file in filter(Path.is_file, files):
            sections = _read(file)
            for name, section in sections.items():
                if name not in valid:
                    raise ConfigError(f"{file}: no stage {name!r}{suggest(name, valid)}")
                _check(section or {}, f"{file}: {name}")
            self.sections = merge(self.sections, {k: v or {} for k, v in sections.items()})

    def __getitem__(self, stage: str) -> Profile:
        """Return the profile of a stage such as `align@lung-comm`.

        Keys of the section of the instance (`align@lung-comm`) replace those of the stage
        (`align`), which replace those of `default`.
        """
        merged: dict[str, Any] = {}
        for name in (_DEFAULT, base_name(stage), stage):
            merged = merge(merged, self.sections.get(name, {}))
        return Profile.model_validate(merged)


def _check(section: Any, where: str) -> None:  # noqa: ANN401 - whatever the file holds
    """Raise an error for a section that is no mapping, or has an unknown key or a wrong value."""
    if not isinstance(section, dict):
        raise ConfigError(f"{where}: expected `key: value` lines, not {section!r}")
    for key in section:
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}{suggest(str(key), _KEYS)}")
    validate(Profile, section, where)


def _read(file: Path) -> dict[str, Any]:
    """Return the sections of a file."""
    try:
        sections = YAML(typ="safe").load(file)
    except YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    if not isinstance(sections or {}, dict):
        raise ConfigError(f"{file}: expected `section: {{key: value}}` lines")
    return sections or {}
