"""For terminals without Unicode: one filter on the way out that leaves ASCII alone."""

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_FROM = "✓✗▲▶◌●◐■○·‖◆…→←↑↓⇄×÷±≈–—’‘“”°µΔ▸▾▏▎▍▌▐▋▊▉█░▒▓▁▂▃▄▅▆▇▔▕"
_TO = """+X!>~*%#o.|*~><^v=x/~~--''""'ud>v|||||####-=#__.-=+*-|"""


def _table() -> dict[int, str]:
    table: dict[int, str] = {ord(char): plain for char, plain in zip(_FROM, _TO, strict=True)}
    for code in range(0x2500, 0x2580):  # box drawing
        table.setdefault(code, "+")
    for char in "─━┄┅┈┉╌╍═╴╶╸╺":
        table[ord(char)] = "-"
    for char in "│┃┆┇┊┋╎╏║╵╷╹╻":
        table[ord(char)] = "|"
    for code in range(0x2580, 0x25A0):  # blocks
        table.setdefault(code, "#")
    for dots in range(256):  # braille, as plots use it: the more dots the darker
        count = dots.bit_count()
        table[0x2800 + dots] = (
            " " if not count else "." if count < 3 else ":" if count < 5 else "*" if count < 7 else "#"
        )
    return table


_TABLE = _table() | {ord("🔎"): "> "}


def plain(text: str) -> str:
    """The text in ASCII, as wide as before."""
    if text.isascii():
        return text
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in text)


class Plain(LineFilter):
    """Replaces every character that is not ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in ASCII."""
        return [Segment(plain(text), style, control) for text, style, control in segments]
