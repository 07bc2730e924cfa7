"""The out-of-date part of the pipeline as SLURM jobs, one per stage; the plan is `runner`'s.

`python -m slurm.submit` submits the jobs, watches them and restores their results; a job runs
`python -m slurm.job` in its clone; `python -m slurm.throwaway` starts a SLURM cluster on this
machine, to try jobs out. `profiles.yaml` holds the resources of each stage. Only these three
commands are for use from outside.
"""
