"""The tile encoder of Prov-GigaPath, frozen.

Xu et al. 2024, "A whole-slide foundation model for digital pathology from real-world data", Nature
630:181; https://github.com/prov-gigapath/prov-gigapath. Licence Apache-2.0 with terms of use
(research only), gated: accept them at https://huggingface.co/prov-gigapath/prov-gigapath.

A ViT-g/16 (1.1 billion parameters); the features are the class token after the final norm: 1536.
Input: the central 224 px of a tile of 256 px at 0.5 um, mean and standard deviation of ImageNet.
Departures: these 112 um are cropped directly; and those of `uni2_h`. Not checked: the published
file and its revision, which are named as in other public pipelines, and the wording of the terms; a
file that does not fit is refused.
"""

from cell_synergy.encoders._vision.published import PublishedTransformer


class Expert(PublishedTransformer):
    """The tile encoder of Prov-GigaPath."""

    licence = "Apache-2.0, terms of use"
