"""The contract of a paired data set: its configuration, its pairs, embeddings, labels and splits.

`config` is what params.yaml says of a data set. `paired` and `embeddings` read, check and write its
files; `dataset.PairedDataset` joins them, with the folds of `splits` and `blocks`, for methods and
probes. `classes`, `composition` and `obsm` check labels and arrays that people give, `spacing` and
`remarks` are shared by whoever reads sections and writes tables, and `anndata_files` and `partial`
read and write `.h5ad`. Names with a leading underscore and `naming` are internal.
"""
