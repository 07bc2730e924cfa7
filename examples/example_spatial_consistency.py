"""Spatial consistency: whether a representation tells close pairs of observations from far ones.

python examples/example_spatial_consistency.py [DATASET] [METHOD ...]

Pairs of observations of one section are close (among the nearest) or far. A linear probe reads the
product and the absolute difference of each feature and is scored on held-out donors; chance is 0.5.
"""

import sys

from example_spatial_neighbors import spatial_scores

from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.downstream.spatial.config import CONSISTENCY


def main(dataset: str = "lung", *methods: str) -> None:
    """Print F1, accuracy and ROC-AUC of each representation."""
    scores = spatial_scores(dataset, methods or ("image", "expression", "concat"), [])
    rows = scores[scores["task"] == CONSISTENCY]
    print(f"{dataset}: close or far? Mean over {rows['donor'].nunique()} test donors")
    print(rows.pivot_table("value", "method", "metric", sort=False).round(3).to_string())


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
