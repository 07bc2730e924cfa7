"""Partial information decompositions of two sources and a label, independent of tissue data.

Called from outside: `discrete` decomposes a joint distribution (BROJA; Bertschinger et al. 2014),
`broja` solves the cone program of BROJA, and `gaussian` decomposes a covariance in closed form.
"""
