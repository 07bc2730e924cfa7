"""Imported by the server that stages are forked from; see `runner.warm`.

DVC comes last, as the imports that pyproject.toml names may set what numerical libraries read from
the environment when they are loaded.
"""

from runner import hook, warm

warm.fill(hook.preload_names())

import runner.stage  # noqa: E402, F401
