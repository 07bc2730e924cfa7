"""Judging representations."""
