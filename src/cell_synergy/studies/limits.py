"""What the study can show: detection limits of every task and method, and of studies to come.

The table of limits (`results/limits.csv`) has two parts, named in its column `table`.

`study`: one row per data set, task, probe, quantity and method of a family of tests.

- `dataset, task, probe, metric`: `metric` is that of verdicts, bits of classifications and R2 of
  regressions. Gains in bits are shares of the entropy of the labels.
- `quantity`: `gain`, over each of the two experts, or `over the ceiling`, over the canonical
  variates (linear probes alone).
- `method, family, methods`: the method, its family of tests, and number of methods in the family.
- `donors, observations`: number of test donors, and mean number of labelled observations of each.
- `gain, gain_low, gain_high, p_corrected`: as measured.
- `spread`: standard deviation of the method's gains over donors, as measured.
- `sd`: the standard deviation that the limit assumes: the larger of `spread` and of the scale of
  the test (half the method's own variance, half the mean variance of its family); in a family
  without a significant gain at least the median over tasks, because gains of probes that read
  nothing hardly vary, which does not say how much a true gain would.
- `limit`: the smallest gain that the test finds with a probability of `limits.power`; infinite with
  too few donors.
- `tissue_gain, true_gain`: Bayes gain of the best reader of the latent states, and of the states as
  decoded from the two embeddings; empty where no truth is known.
- `ceiling`: synergy of the states as decoded, as a share of the entropy: the most that a reader of
  both embeddings can gain by synergy.
- `power`: probability with which a method that reached `true_gain` would be found.

`design`: one row per number of donors, observations of each donor, and accuracy of the experts, for
the gain over both experts of one of the paper's ten methods.

- `donors, observations`; `accuracy`: balanced accuracy with which each expert shows a binary state.
- `sd`: what `cell_synergy.studies.detection.study_sd` expects of them.
- `limit`: as above; `ceiling`: synergy of an XOR of two such states, as a share of its entropy; and
  `share`: limit as a share of the ceiling, which a method has to reach to be found.
"""

COLUMNS = [
    "table", "dataset", "task", "probe", "metric", "quantity", "method", "family", "methods",
    "donors", "observations", "gain", "gain_low", "gain_high", "p_corrected", "spread", "sd",
    "limit", "tissue_gain", "true_gain", "ceiling", "power", "accuracy", "share",
]  # fmt: skip
