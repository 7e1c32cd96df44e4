"""A health report as other programs read it: one module per format, each a function of a report."""
