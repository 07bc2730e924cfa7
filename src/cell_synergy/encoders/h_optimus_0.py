"""H-optimus-0, frozen.

Saillard et al. 2024, https://github.com/bioptimus/releases/tree/main/models/h-optimus/v0. Licence
Apache-2.0, behind a form: fill it in at https://huggingface.co/bioptimus/H-optimus-0.

A ViT-g/14 with four registers (1.1 billion parameters); the features are the class token after the
final norm: 1536. Input: 112 um as 224 px, normalised by the model's own mean and standard deviation
of colours. Departures: those of `uni2_h`. Not checked: the published file, whose commit is unknown
(`freeze` records the commit that the branch is resolved to), and whether the form adds terms to the
licence; a file that does not fit is refused.
"""

from cell_synergy.encoders._vision.published import PublishedTransformer


class Expert(PublishedTransformer):
    """H-optimus-0."""

    licence = "Apache-2.0"
