"""What can go wrong at the desk itself; the rooms' own errors pass through as they are."""


class DeskError(Exception):
    """A request the desk cannot serve: what is wrong, and what to do."""
