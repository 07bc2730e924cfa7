"""Training of fusion methods; the methods themselves are in `cell_synergy.models`.

`method` is the contract of a method, `loop` the training loop, `modules` and `losses` are networks
and objectives that several methods share, `replicas` computes all folds and seeds as one batched
model, `checkpoint` saves the state of an interrupted fit, `weights` stores fitted weights, and
`cca` is canonical correlation analysis in closed form. Other folders call `method`, `weights`,
`cca`, and `TrainingConfig` of `loop`; a new method also derives from `loop.Trained` and from the
classes of `modules`, and its control from `self_paired.SelfPaired`.
"""
