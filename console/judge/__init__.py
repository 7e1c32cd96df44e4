"""Whether a figure counts, what it may be compared with, and what comes out. Pure functions of values."""
