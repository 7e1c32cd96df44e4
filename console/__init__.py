"""Instinct Lab Console: fleet status, benchmark matrices and live tokens/s for AMD Instinct servers."""

__version__ = "0.1.0"
