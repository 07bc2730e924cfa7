"""UNI, the first version of UNI2-h, frozen.

Chen et al. 2024, "Towards a general-purpose foundation model for computational pathology", Nature
Medicine 30:850. Licence CC-BY-NC-ND 4.0, gated: accept it at https://huggingface.co/MahmoodLab/UNI.

A ViT-L/16; the features are the class token after the final norm: 1024. Input: 112 um as 224 px,
mean and standard deviation of ImageNet. Departures: those of `uni2_h`. Not checked: the published
file and its revision, which are named as in other public pipelines; a file that does not fit is
refused.
"""

from cell_synergy.encoders._vision.published import PublishedTransformer


class Expert(PublishedTransformer):
    """UNI."""

    licence = "CC-BY-NC-ND 4.0"
