"""Two themes of our own beside Textual's; `ansi-dark` and `ansi-light` keep the terminal's own colours."""

from textual.theme import Theme

DARK = Theme(
    name="instinct-dark",
    primary="#5fa8d3",
    secondary="#c297e8",
    accent="#e8a87c",
    warning="#e5c453",
    error="#f0716b",
    success="#6cc38a",
    foreground="#d6dbe1",
    background="#14181d",
    surface="#1b2027",
    panel="#242b34",
    dark=True,
    variables={"block-cursor-text-style": "none", "scrollbar": "#3a4552", "scrollbar-background": "#14181d"},
)
LIGHT = Theme(
    name="instinct-light",
    primary="#1f6f9f",
    secondary="#7a3fb0",
    accent="#b3541e",
    warning="#8a6100",
    error="#b3261e",
    success="#1e7a3c",
    foreground="#22272e",
    background="#fbfbf9",
    surface="#f1f1ee",
    panel="#e4e5e1",
    dark=False,
    variables={"block-cursor-text-style": "none", "scrollbar": "#b9bdb8", "scrollbar-background": "#fbfbf9"},
)
OURS = (DARK, LIGHT)
ROUND = ("instinct-dark", "instinct-light", "ansi-dark", "ansi-light")
"""What the theme key goes through; the palette offers every theme."""
