"""Check params.yaml before a study is planned."""

from cell_synergy.core.config import read_params
from cell_synergy.studies.preflight import check_study


def check() -> None:
    """Check that the lists in params.yaml name methods, data sets, tasks and experts that exist.

    Raises
    ------
    ConfigError
        Names every parameter that is wrong.
    """
    check_study(read_params())
