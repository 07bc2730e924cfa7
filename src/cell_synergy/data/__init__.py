"""Tissue on its way from raw files to standardised pairs."""
