"""Concat at full width: all features of both embeddings, without the reduction to principal axes.

Every other fusion method, `concat` included, gets as many principal axes of each expert as
`align.axes` in params.yaml says. This row shows what that costs or gains a plain concatenation.
"""

from typing import ClassVar

from cell_synergy.models.concat import Model as Concat


class Model(Concat):
    """Concatenation of the whole embeddings; it has no hyperparameters."""

    full_width: ClassVar[bool] = True
