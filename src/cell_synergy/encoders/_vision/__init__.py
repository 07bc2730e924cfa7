"""Shared parts of the image experts.

`image_expert` has the base class, `published` the vision transformers with published weights,
`transformer` the networks of timm, and `features` the embedding of patches in batches. Only the
modules of experts in the parent folder use these modules.
"""
