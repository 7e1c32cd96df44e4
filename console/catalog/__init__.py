"""Strict loading of profiles, matrices and references, and the choice of cells. Start at `shelf.load`."""
