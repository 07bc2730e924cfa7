"""Training of fusion methods; the methods themselves are in `cell_synergy.models`.

`method` is the contract of a method, `loop` the one training loop, `modules` and `losses` the
networks and objectives that several methods share, `replicas` the batched computation of all folds
and seeds, `checkpoint` what an interrupted fit resumes from, `weights` the files of fitted weights,
and `cca` canonical correlation analysis in closed form. Other folders call `method`, `weights`,
`cca`, and `TrainingConfig` of `loop`; a new method also derives from `loop.Trained` and from the
classes of `modules`.
"""
