"""Which resources the jobs of a stage ask for: slurm/profiles.yaml and the site's own files."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveInt
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cell_synergy.core.config import Config, merge, suggest, validate
from cell_synergy.core.errors import ConfigError

TRACKED = Path("slurm", "profiles.yaml")
LOCAL = Path("slurm", "profiles.local.yaml")
VARIABLE = "CELL_SYNERGY_SLURM"
DEFAULT = "default"
OURS = ("warning", "restarts", "modules", "setup")

Option = Annotated[str, Field(coerce_numbers_to_str=True)] | None


class Profile(Config):
    """One job's resources; see slurm/profiles.yaml."""

    model_config = Config.model_config | {"alias_generator": lambda name: name.replace("_", "-")}

    partition: Option = None
    account: Option = None
    qos: Option = None
    constraint: Option = None
    gpus: Option = None
    gres: Option = None
    mem: Option = None
    cpus_per_task: Option = None
    time: Option = None
    warning: PositiveInt | None = None
    restarts: NonNegativeInt = 0
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """Return the words for `sbatch`."""
        asked = self.model_dump(by_alias=True, exclude_none=True, exclude=set(OURS))
        words = [f"--{name}={value}" for name, value in asked.items()]
        return words + ([f"--signal=B:USR1@{self.warning}"] if self.warning else [])


KEYS = [str(field.alias) for field in Profile.model_fields.values()]


class Profiles:
    """The sections of all files, the later over the earlier."""

    def __init__(self, root: Path, stages: Iterable[str]) -> None:
        """Read them.

        Raises
        ------
        ConfigError
            Where a file is no YAML, or a section or a key is unknown.
        """
        known = {DEFAULT, *stages} | {base(name) for name in stages}
        files = [root / TRACKED, root / LOCAL]
        self.sections: dict[str, Any] = {}
        if named := os.environ.get(VARIABLE):
            files.append(Path(named))
            if not files[-1].is_file():
                raise ConfigError(f"${VARIABLE}: there is no file {named}")
        for file in filter(Path.is_file, files):
            found = read(file)
            for name, section in found.items():
                if name not in known:
                    raise ConfigError(f"{file}: no stage {name!r}{suggest(name, known)}")
                check(section or {}, f"{file}: {name}")
            self.sections = merge(self.sections, {k: v or {} for k, v in found.items()})

    def __getitem__(self, stage: str) -> Profile:
        """Return the profile of a stage, e.g. `align@lung-comm`."""
        merged: dict[str, Any] = {}
        for name in (DEFAULT, base(stage), stage):
            merged = merge(merged, self.sections.get(name, {}))
        return Profile.model_validate(merged)


def base(stage: str) -> str:
    """Return a stage's name without its place in the matrix."""
    return stage.partition("@")[0]


def check(section: Any, where: str) -> None:  # noqa: ANN401 - what somebody wrote
    """Refuse what is no section of profiles."""
    if not isinstance(section, dict):
        raise ConfigError(f"{where}: `key: value` lines are wanted, not {section!r}")
    for key in section:
        if key not in KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}{suggest(str(key), KEYS)}")
    validate(Profile, section, where)


def read(file: Path) -> dict[str, Any]:
    """Return the sections of a file."""
    try:
        found = YAML(typ="safe").load(file)
    except YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    if not isinstance(found or {}, dict):
        raise ConfigError(f"{file}: `section: {{key: value}}` lines are wanted")
    return found or {}
