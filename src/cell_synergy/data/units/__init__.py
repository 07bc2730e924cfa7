"""Paired units: their table, embeddings, splits; what a data set is."""
