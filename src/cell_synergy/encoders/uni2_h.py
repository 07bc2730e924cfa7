"""UNI2-h, frozen: the image expert of the paper.

Chen et al. 2024, "Towards a general-purpose foundation model for computational pathology", Nature
Medicine 30:850; version 2 of January 2025. Licence CC-BY-NC-ND 4.0, gated: accept it at
https://huggingface.co/MahmoodLab/UNI2-h with your own account. Neither the weights nor the
embeddings may be redistributed.

A ViT-H/14 (681,394,176 parameters in 343 tensors, eight registers); the features are token 0, the
class token, after the final norm: 1536. Input: 112 um as 224 px, mean and standard deviation of
ImageNet.
Departures: patches of another resolution are resized without rounding colours to integers; bfloat16
by default, with norms and residuals in float32. Checked: the tensor layout, on random weights. Not
checked: the published weights, which cannot be part of a test.
"""

from cell_synergy.encoders._vision.published import PublishedTransformer


class Expert(PublishedTransformer):
    """UNI2-h."""

    licence = "CC-BY-NC-ND 4.0"
