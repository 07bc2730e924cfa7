"""Partial information decompositions of two sources and a label, independent of tissue data.

Called from outside: `discrete` decomposes a joint distribution (BROJA; Bertschinger et al. 2014),
`broja` solves its cone program, and `gaussian` decomposes a covariance in closed form.
"""
