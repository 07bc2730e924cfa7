"""Modules that every other folder uses and that are independent of tissue and learning.

`config`, `pipeline`, `overrides` and `yaml` read parameters; `errors` and `signals` end a command;
`files`, `filetypes`, `arrays`, `tensors`, `outputs` and `hub` read and write files; `random`,
`device` and `cpu` make results reproducible, and `permutation` draws the null of unpaired
modalities; `resume` continues interrupted work; `code`, `imports` and `fingerprint` find and hash
the source that a stage runs; `labels` and `names` are about text in tables. Names without a leading
underscore may be used from outside.
"""
