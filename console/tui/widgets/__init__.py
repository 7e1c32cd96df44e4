"""Widgets that more than one screen draws with."""
