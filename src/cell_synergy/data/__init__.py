"""The contract of a paired data set: its configuration, its pairs, embeddings, labels and splits.

`config` describes a data set as params.yaml configures it, `source_config` its source and
`reader_config` the reader of its files. `paired`, `label_files` and `embeddings` read, check
and write its files; `dataset.PairedDataset` joins them, with the folds of `splits` and `blocks`,
for methods and probes. `classes`, `composition` and `obsm` check labels and arrays of users' files,
`spacing` and `remarks` are shared by the modules that read sections and write tables, and
`anndata_files` and `partial` read and write `.h5ad`. Names with a leading underscore and `naming`
are internal.
"""
