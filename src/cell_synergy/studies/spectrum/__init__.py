"""The spectral ceiling: how much of two embeddings a linear alignment can retain, and its null.

Called from outside: `config.SpectrumConfig`, `tabulate.tabulate` (all results of a data set) and
`ceiling_scores` (probes of the canonical variates). `correlations` has the estimators, `whitening`
a step of theirs, `retention` the share of shared and unique content in a joint embedding.

Let `x1` (image) and `x2` (expression) be centred, with covariances `C11`, `C22` and `C12`. The
whitened cross-covariance `T = C11^-1/2 C12 C22^-1/2 = U S V'` has the canonical correlations
`rho_1 >= rho_2 >= ...` for singular values (Hotelling 1936). For linear encoders `f = A' x1` and
`g = B' x2` of width k:

Spectral contrastive loss (HaoChen et al. 2021), with pairs as positives and independent draws as
negatives: `-2 E f(x1)'g(x2) + E (f(x1)'g(x2'))^2 = |T - M|^2 - |T|^2` for
`M = C11^1/2 A B' C22^1/2`. `M` is any matrix of rank k, so the minimum is `T` cut to its leading k
singular values (Eckart & Young 1936), and the loss there is `-(rho_1^2 + ... + rho_k^2)`. HaoChen
et al. have two views of one modality, for which `T` is symmetric; for two modalities the left and
the right singular vectors differ, and nothing else changes.

VICReg and Barlow Twins (Balestriero & LeCun 2022): where the variance and covariance terms hold,
`Cov f = Cov g = 1` and the invariance term is `E |f - g|^2 = 2 k - 2 tr(A' C12 B)`, minimal for the
leading k canonical directions. Barlow Twins drives the cross-correlation of f and g towards the
identity, which selects the same directions. CCA maximises `tr(A' C12 B)` by definition.

SimCLR: for linear encoders each gradient step of InfoNCE is that of the trace `tr(A' S B)` of a
contrastive cross-covariance `S`, whose singular vectors are learned (Nakada et al. 2023); with
whitened embeddings and equal weights of the negatives `S` is `T`.

Hence `rho_1^2 + rho_2^2 + ...`, the *ceiling*, bounds what linear alignment can retain, and a
linear probe of the canonical variates with `rho > 0` has access to all of it. The variates contain
neither the part of one embedding that is uncorrelated with the other (unique information) nor
functions of products of both (synergy): for Gaussian `x`, a product of canonical variates is
uncorrelated with every linear map of either (Hermite polynomials of different degree are
orthogonal; Lancaster 1958). The bound is on linear encoders of width k. Networks may align
nonlinear features; with a width above the number of correlated directions the remaining directions
are arbitrary; concat, pca and random projections align nothing.

Null: of n independent draws of p and q independent features the largest sample correlation tends to
`sqrt(p/n (1 - q/n)) + sqrt(q/n (1 - p/n))` (Wachter 1980), and is 1 from p + q = n on. A sample
correlation `r` above this edge estimates a population correlation `rho` by
`r^2 = (rho^2 (1 - p/n) + p/n) (rho^2 (1 - q/n) + q/n) / rho^2` (Bao et al. 2019); one up to the
edge does not identify `rho`. The *corrected* ceiling is the sum of `rho^2` over sample correlations
above the edge. It is not estimable for p + q >= n.

All correlations are computed within donors: the donors' means are subtracted, since stain and
chemistry covary between donors, and n is the number of observations minus that of donors.
Neighbouring observations are similar, so that fewer than n are independent; correlations on
held-out donors need no null distribution.

References
----------
Hotelling 1936, "Relations between two sets of variates", Biometrika 28.
Eckart and Young 1936, "The approximation of one matrix by another of lower rank", Psychometrika 1.
Lancaster 1958, "The structure of bivariate distributions", Annals of Mathematical Statistics 29.
Wachter 1980, "The limiting empirical measure of multiple discriminant ratios", Annals of Statistics
8.
Bao, Hu, Pan and Zhou 2019, "Canonical correlation coefficients of high-dimensional Gaussian
vectors: finite rank case", Annals of Statistics 47.
HaoChen, Wei, Gaidon and Ma 2021, "Provable guarantees for self-supervised deep learning with
spectral contrastive loss", NeurIPS.
Balestriero and LeCun 2022, "Contrastive and non-contrastive self-supervised learning recover global
and local spectral embedding methods", NeurIPS.
Nakada, Gulluk, Deng, Ji, Zou and Zhang 2023, "Understanding multimodal contrastive learning and
incorporating unpaired data", AISTATS.
"""
