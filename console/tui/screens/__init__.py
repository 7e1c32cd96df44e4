"""The screens, a file each; `base.py` is what they share."""
