"""Shared parts of the image experts.

`image_expert` has their base class, `published` the vision transformers with published weights,
`transformer` the networks of timm, `features` the embedding of patches in batches, and `resumption`
the resuming of interrupted embeddings. Only the modules of experts in the parent folder use them.
"""
