"""Run the pipeline's out-of-date part on one machine or, as jobs, on a cluster."""
