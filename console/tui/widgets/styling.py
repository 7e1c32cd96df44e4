"""Colours of line-drawn widgets: what is partly see-through in the style sheet is mixed with the widget's ground here.

Textual does this for widgets it renders itself; a style taken for a line of one's own has lost it.
"""

from rich.style import Style
from textual.widget import Widget


def component(widget: Widget, name: str) -> Style:
    """What a component class adds to the widget's own style. Terminals' own colours cannot be mixed: dimmed instead."""
    styles = widget.get_component_styles(name)
    ground = widget.background_colors[1]
    color = background = None
    if styles.has_rule("background") and styles.background.a:
        ground = background = ground + styles.background
    if styles.has_rule("color"):
        color = ground + styles.color
    dim = color is not None and color.ansi is not None and name.endswith("--dim")
    return widget.get_component_rich_style(name, partial=True).without_color + Style(
        color=color.rich_color if color is not None else None,
        bgcolor=background.rich_color if background is not None else None,
        dim=dim or None,
    )


class Styles(dict[str, Style]):
    """Styles of a widget's lines by name, each worked out once; to be cleared when the theme changes."""

    def __init__(self, widget: Widget, prefix: str) -> None:
        super().__init__()
        self._widget = widget
        self._prefix = prefix

    def __missing__(self, name: str) -> Style:
        style = component(self._widget, f"{self._prefix}--{name}") if name else self._widget.rich_style
        self[name] = style
        return style
