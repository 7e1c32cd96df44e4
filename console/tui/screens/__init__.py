"""The screens, a folder each; `base.py` is what they share."""
