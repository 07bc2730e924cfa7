"""Fitting methods, and experts, to tissue."""
