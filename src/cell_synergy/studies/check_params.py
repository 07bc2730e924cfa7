"""Check params.yaml, and that the code here is what stages import, before a study is planned."""

from pathlib import Path

from cell_synergy.core.code import require_own_copy
from cell_synergy.core.config import read_params
from cell_synergy.studies.licensed import merge_named
from cell_synergy.studies.preflight import check_study


def check() -> None:
    """Check that the lists in params.yaml name methods, data sets, tasks and experts that exist.

    Blocks of licensed/ that params.yaml names are added to it.

    Raises
    ------
    ConfigError
        If a name in params.yaml is wrong, or another copy of the package than the one in src/ is
        imported.
    """
    require_own_copy(Path("src"))
    merge_named(read_params())
    check_study(read_params())
