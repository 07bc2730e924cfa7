"""A tissue section and its parts, as readers assemble them.

`section` is the contract: what every reader returns. Parts of a section: `count_matrix` and
`transcripts` (counts), `gene_names`, `coordinates` and `pixel_size`, `label_tables`, `patches`,
`cell_counts`. Files: `section_files` (find and read them), `tissue_positions` and
`spaceranger_images` (of Space Ranger). `assembly` joins a platform's measurements with a user's
tables; `qc` is the table of observations kept and dropped. Called from outside `raw`:
`qc.SectionQC` by the stage `pairs`.
"""
