"""Errors that a user can mend."""


class DataError(ValueError):
    """Input that cannot be used; the message names file, column or value and the remedy."""
