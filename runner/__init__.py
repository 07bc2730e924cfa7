"""Tools for any DVC repository, independent of SLURM and of what the stages compute.

`python -m runner.local` runs the stages that are out of date in parallel, `python -m runner.cache`
verifies DVC's local cache and `python -m runner.remote` a remote. From outside, for example from
`slurm/`, may be used: `plan` (which stages are out of date, in which order they run), `executor`
(their processes on this machine), `restore` (results from the run-cache), `stage` (one stage),
`lockfile` (entries of dvc.lock), `hook` (the repository's own check) and `console` (messages).
"""
