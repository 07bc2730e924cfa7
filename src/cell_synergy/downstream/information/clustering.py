"""Divisive clustering of observations by their posteriors, and tempering of the clusters' table.

References
----------
Dhillon, Mallela and Kumar, "A divisive information-theoretic feature clustering algorithm for text
classification", Journal of Machine Learning Research 3, 2003.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import brentq
from scipy.special import entr, softmax

from cell_synergy.pid.discrete import mutual_information

_TINY = 1e-200  # lower bound of probabilities whose logarithm is taken
_MAX_POWER = 16.0  # power above which every cluster has one class with probability near 1
_SCALINGS = 30  # alternating scalings of a table's rows and columns
_MIN_LOSS = 1e-9  # nats; below, the observations of a cluster have equal posteriors up to rounding
_PASSES = 20  # reassignments of the observations after a split


def temper_to_information(
    bits: float, table: Float64[np.ndarray, "_ _"], shares: Float64[np.ndarray, " _"]
) -> Float64[np.ndarray, "_ _"]:
    """Return a joint table of clusters and classes, tempered to a given mutual information.

    The class probabilities of every cluster are raised to one common power; then rows and columns
    are scaled alternately to the clusters' masses and the classes' `shares`. The power is solved
    for such that the result has the required mutual information.

    Parameters
    ----------
    bits
        Required mutual information, in bits. If it is not positive, clusters and classes are
        independent in the result; if it is too large, the power is 32, the largest one tried.
    table
        Joint probabilities of clusters (rows) and classes (columns), all sums above zero.
    shares
        Probabilities of the classes, all above zero.
    """
    masses = table.sum(axis=1, keepdims=True)
    logits = np.log(np.maximum(table / masses, _TINY))

    def tempered(power: float) -> Float64[np.ndarray, "_ _"]:
        joint = np.maximum(softmax(power * logits, axis=1), _TINY)
        for _ in range(_SCALINGS):
            joint *= masses / joint.sum(axis=1, keepdims=True)
            joint *= shares / joint.sum(axis=0)
        return np.asarray(joint / joint.sum())

    def excess_bits(power: float) -> float:
        return mutual_information(tempered(power)) - bits

    if excess_bits(0.0) >= 0:
        return tempered(0.0)
    upper = 1.0
    while excess_bits(upper) < 0:
        if upper > _MAX_POWER:
            return tempered(upper)
        upper *= 2
    return tempered(brentq(excess_bits, 0, upper))


def cluster_posteriors(
    p: Float64[np.ndarray, "obs classes"], weights: Float64[np.ndarray, " obs"], max_clusters: int
) -> Int64[np.ndarray, " obs"]:
    """Cluster observations by their posteriors so that little mutual information is lost.

    The algorithm is deterministic. Repeatedly, the cluster with the largest information loss is
    split at its mean along the principal axis of the square roots of its posteriors; then each
    observation is reassigned to the cluster whose mean posterior is nearest in Kullback-Leibler
    divergence, in at most 20 passes.

    Parameters
    ----------
    p
        Class probabilities of each observation, recalibrated.
    weights
        Weight of each observation; the weights sum to one.
    max_clusters
        Maximal number of clusters; there are fewer if fewer lose no information, or if a split
        leaves a cluster empty.

    Returns
    -------
    :
        Index of each observation's cluster, from 0.
    """
    cluster = np.zeros(len(p), dtype=np.int64)
    for count in range(1, max_clusters):
        centroids = _log_centroids(p, weights, cluster)
        divergence = -entr(p).sum(axis=1) - (p * centroids[cluster]).sum(axis=1)
        loss = np.bincount(cluster, weights * divergence)
        if loss.max() <= _MIN_LOSS:
            break
        members = np.flatnonzero(cluster == loss.argmax())
        deviations = np.sqrt(p[members])
        deviations -= np.average(deviations, axis=0, weights=weights[members])
        axis = np.linalg.eigh((deviations.T * weights[members]) @ deviations)[1][:, -1]
        cluster[members[deviations @ axis > 0]] = count
        for _ in range(_PASSES):
            nearest = (p @ _log_centroids(p, weights, cluster).T).argmax(axis=1)
            previous, cluster = cluster, np.unique(nearest, return_inverse=True)[1]
            if np.array_equal(previous, cluster):
                break
        if cluster.max() < count:
            break
    return cluster


def _log_centroids(
    p: Float64[np.ndarray, "obs classes"],
    weights: Float64[np.ndarray, " obs"],
    cluster: Int64[np.ndarray, " obs"],
) -> Float64[np.ndarray, "_ classes"]:
    """Return the logarithm of each cluster's mean posterior."""
    joint = (np.eye(cluster.max() + 1)[cluster] * weights[:, None]).T @ p
    return np.asarray(np.log(joint / joint.sum(axis=1, keepdims=True)))
