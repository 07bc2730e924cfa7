"""The spectral ceiling: how much of two embeddings a linear alignment can keep, and its null.

Let `x1` (image) and `x2` (expression) be centred, with covariances `C11`, `C22` and `C12`. The
whitened cross-covariance `T = C11^-1/2 C12 C22^-1/2 = U S V'` has the canonical correlations
`rho_1 >= rho_2 >= ...` for singular values (Hotelling 1936). For linear encoders `f = A' x1` and
`g = B' x2` of width k:

Spectral contrastive loss (HaoChen et al. 2021), with pairs as positives and independent draws as
negatives: `-2 E f(x1)'g(x2) + E (f(x1)'g(x2'))^2 = |T - M|^2 - |T|^2` for
`M = C11^1/2 A B' C22^1/2`. `M` is any matrix of rank k, so the minimum is `T` cut to its leading k
singular values (Eckart & Young 1936), and the loss there is `-(rho_1^2 + ... + rho_k^2)`. HaoChen
et al. have two views of one kind, for which `T` is symmetric; nothing changes for two modalities,
but that both singular vectors are needed.

VICReg and Barlow Twins (Balestriero & LeCun 2022): where the variance and covariance terms hold,
`Cov f = Cov g = 1` and the invariance term is `E |f - g|^2 = 2 k - 2 tr(A' C12 B)`: least for the
leading k canonical directions. Barlow Twins asks the cross-correlation of f and g to be diagonal
and large: the same directions. CCA, which maximises `tr(A' C12 B)`, is this by definition.

SimCLR: for linear encoders each gradient step of InfoNCE is that of the trace `tr(A' S B)` of a
contrastive cross-covariance `S`, whose singular vectors are learnt (Nakada et al. 2023); with
whitened embeddings and equal weights of the negatives `S` is `T`.

Hence `rho_1^2 + rho_2^2 + ...`, the *ceiling*, bounds what linear alignment can pull together, and
a linear reader of the canonical variates with `rho > 0` reads all of it. What one embedding has
uncorrelated with the other is not in them (unique information), nor what needs a product of both
(synergy): for Gaussian `x`, a product of canonical variates is uncorrelated with every linear map
of either (Hermite polynomials of different degree are orthogonal; Lancaster 1958). The bound is on
linear encoders of width k. Networks may align nonlinear features; a width above the number of
correlated directions leaves the rest to chance; concat, pca and random projections align nothing.

Null: of n independent draws of p and q independent features the largest sample correlation tends to
`sqrt(p/n (1 - q/n)) + sqrt(q/n (1 - p/n))` (Wachter 1980), and is 1 from p + q = n on. A sample
correlation `r` above it belongs to a population correlation `rho` with
`r^2 = (rho^2 (1 - p/n) + p/n) (rho^2 (1 - q/n) + q/n) / rho^2` (Bao et al. 2019); one below it to
any. The *corrected* ceiling sums the squares of the first kind. It is not estimable for p + q >= n.

All is computed within donors: their means are taken out, since a donor's stain and chemistry differ
together from another's, and n is the number of units less that of donors. Neighbouring units are
alike, so that fewer than n are independent: correlations on donors that are held out need no null.

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
