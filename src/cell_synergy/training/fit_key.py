"""The key under which interrupted fits of a method are resumed."""

from collections.abc import Mapping, Sequence

import numpy as np

from cell_synergy.core.resume.scratch import run_hash
from cell_synergy.training.method import FitSpec, Method


def fit_key(method: Method, training: Mapping[str, object], fit_specs: Sequence[FitSpec]) -> str:
    """Return a hash of everything that the fits depend on: code, parameters, and all arrays.

    Parameters
    ----------
    method, training
        The method, and the section `training` of params.yaml with which it is fitted.
    fit_specs
        All fits of the run, of which names and arrays are hashed.
    """
    arrays = (
        np.ascontiguousarray(array).tobytes()
        for fit_spec in fit_specs
        for pairs in (fit_spec.pairs, fit_spec.validation)
        for array in (pairs.image, pairs.expression, pairs.donor.astype("U"))
    )
    names = [fit_spec.name for fit_spec in fit_specs]
    module, hyperparameters = type(method).__module__, method.model_dump()
    return run_hash(module, hyperparameters, dict(training), names, arrays=arrays)
