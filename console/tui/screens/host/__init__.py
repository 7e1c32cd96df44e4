"""The Host screen: `screen.py` is what Textual shows, the rest what it is made of."""
