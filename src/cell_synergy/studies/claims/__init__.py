"""The paper's claims against our evidence, data set by data set."""
