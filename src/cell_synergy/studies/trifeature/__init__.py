"""Trifeature on embeddings: how much redundant, unique and synergistic content a method retains.

Dufumier et al. 2025, "What to align in multimodal contrastive learning?" (ICLR), the bimodal
Trifeature experiments, after Hermann & Lampinen 2020; authors' code Duplums/CoMM at 02725fa. An
item has a shape, a colour and a texture, ten values each; a pair is an item embedded by the image
expert and another item of the same shape embedded by the expression expert. Probes of a method's
joint embedding `z3` decode the shape (redundant), the texture of each modality's item (unique), and
whether the texture of the image item and the colour of the expression item match under a fixed
permutation (synergy: neither modality alone has information about it).

As in the paper a method is fitted twice, to pairs of any texture and colour, and to pairs that all
match; the second fit is probed for synergy, on pairs of which half match.

Departures: embeddings, not pixels (each is the sum of its values' fixed Gaussian codes, and noise,
so that no encoder affects the result); balanced probe pairs; one random stream per purpose.
The authors draw the permutation and the pairs from the stream that also renders the images, so that
the pairs of their first and second run differ.

The stage `trifeature` calls `trifeature_scores.score_method`; `world` draws items and pairs.
"""
