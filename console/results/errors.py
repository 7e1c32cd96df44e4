"""What can go wrong with a table."""


class ResultsError(Exception):
    """A table that cannot be made or written: what happened, and what to do."""
