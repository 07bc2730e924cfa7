"""The contract of a paired data set: its configuration, its pairs, embeddings, labels and splits.

`config` is the schema of a data set in params.yaml, with that of its source in `source_config` and
of its reader in `reader_config`. `paired`, `label_files` and `embeddings` read, check and write the
files of a data set; `dataset.PairedDataset` joins them, with the folds of `splits` and `blocks`,
for methods and probes. `classes`, `composition` and `obsm` check labels and arrays of users' files;
`spacing` has the spot spacings of regular arrays, `remarks` the warnings that are copied into
result tables; `anndata_files` and `partial` read and write `.h5ad`. Names with a leading underscore
and `naming` are internal.
"""
