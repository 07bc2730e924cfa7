"""Partial information decompositions in closed form: of discrete tables and of Gaussians.

`discrete` decomposes a joint distribution (Bertschinger et al. 2014), by the cone program of
`broja`; `gaussian` decomposes a covariance. Nothing here knows of tissue.
"""
