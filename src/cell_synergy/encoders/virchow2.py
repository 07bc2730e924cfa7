"""Virchow2, frozen.

Zimmermann et al. 2024, "Virchow2: Scaling self-supervised mixed magnification models in pathology",
arXiv:2408.00738. Licence CC-BY-NC-ND 4.0, gated: accept it at
https://huggingface.co/paige-ai/Virchow2.

A ViT-H/14 with four registers; the features are the class token and the mean of the 256 patch
tokens (without the registers), after the final norm: 2 x 1280. Input: 112 um as 224 px (20x; the
model was trained at several magnifications), mean and standard deviation of ImageNet. Departures:
those of `uni2_h`. Not checked: the published file and its revision, which are named as in other
public pipelines; a file that does not fit is refused.
"""

from cell_synergy.encoders._vision.published import PublishedTransformer


class Expert(PublishedTransformer):
    """Virchow2."""

    licence = "CC-BY-NC-ND 4.0"
