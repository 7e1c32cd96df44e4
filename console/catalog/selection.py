"""Choosing cells of a matrix: `model~70B and output_len==2048`.

Names are those of a cell (`id`, `model`, `title`, `precision`, `nodes`, `gpus`, …), of its parameters, and of the
`values` of a row that runs a program of one's own. Text is compared without regard to case; `~` looks for a part, or
for a pattern when it holds `*` or `?`. A cell that has no parameter of a name matches no comparison with it; `== none`
finds a parameter that is left open.
"""

import fnmatch
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from console.catalog.columns import cell_value, has_value, value_names
from console.catalog.errors import EmptySelection, SelectionError, suggestion
from console.catalog.expression import Both, Compare, Either, Flag, Node, Not, Value, parse
from console.model.cell import AnyCell

_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUE = ("true", "on", "yes")
_FALSE = ("false", "off", "no")


def select(cells: Sequence[AnyCell], expression: str | None) -> tuple[AnyCell, ...]:
    """The cells an expression holds for, in their order; all of them without one.

    Raises SelectionError for an expression that cannot be read, names nothing of any cell, or compares a number with
    text; EmptySelection when it holds for no cell.
    """
    if expression is None or not expression.strip():
        return tuple(cells)
    tree = parse(expression)
    _check(expression, tree, cells)
    chosen = tuple(cell for cell in cells if _holds(expression, tree, cell))
    if not chosen:
        raise EmptySelection(f"`{expression}` selects none of the {len(cells)} cells{_values_hint(tree, cells)}")
    return chosen


def names(cells: Sequence[AnyCell]) -> tuple[str, ...]:
    """The names an expression over these cells may use."""
    return value_names(cells)


def _check(expression: str, node: Node, cells: Sequence[AnyCell]) -> None:
    if isinstance(node, Both | Either):
        for part in node.parts:
            _check(expression, part, cells)
    elif isinstance(node, Not):
        _check(expression, node.part, cells)
    elif cells:
        known = names(cells)
        if node.name not in known:
            message = f"no cell has a value called {node.name!r}{suggestion(node.name, known)}"
            raise SelectionError(expression, node.column, message)


def _holds(expression: str, node: Node, cell: AnyCell) -> bool:
    if isinstance(node, Both | Either):
        held = [_holds(expression, part, cell) for part in node.parts]  # all of them, so that no mistake stays hidden
        return all(held) if isinstance(node, Both) else any(held)
    if isinstance(node, Not):
        return not _holds(expression, node.part, cell)
    if not has_value(cell, node.name):
        return False
    value = cell_value(cell, node.name)
    if isinstance(node, Flag):
        if value is not None and not isinstance(value, bool):
            message = f"{node.name} is {value!r} and not simply true or false; compare it"
            raise SelectionError(expression, node.column, message)
        return bool(value)
    return _compares(expression, node, value)


def _compares(expression: str, node: Compare, value: Any) -> bool:
    if node.operator == "in":
        equal = [_equals(expression, node, value, wanted) for wanted in node.values]
        return any(equal)
    wanted = node.values[0]
    if node.operator == "==":
        return _equals(expression, node, value, wanted)
    if node.operator == "!=":
        return not _equals(expression, node, value, wanted)
    if value is None:
        return False
    if node.operator == "~":
        return _looks_like(_text(value), wanted.text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SelectionError(expression, node.column, f"{node.name} is no number; use ==, != or ~")
    return _ORDER[node.operator](value, _number(expression, node, wanted))


def _equals(expression: str, node: Compare, value: Any, wanted: Value) -> bool:
    if wanted.text.casefold() == "none":
        return value is None or value == "none"
    if value is None:
        return False
    if isinstance(value, bool):
        folded = wanted.text.casefold()
        if folded not in _TRUE + _FALSE:
            message = f"{node.name} is true or false, not {wanted.text!r}"
            raise SelectionError(expression, wanted.column, message)
        return value == (folded in _TRUE)
    if isinstance(value, int | float):
        return value == _number(expression, node, wanted)
    return _text(value).casefold() == wanted.text.casefold()


def _number(expression: str, node: Compare, wanted: Value) -> float:
    if wanted.number is None:
        raise SelectionError(expression, wanted.column, f"{node.name} is a number, {wanted.text!r} is none")
    return wanted.number


def _looks_like(text: str, pattern: str) -> bool:
    text, pattern = text.casefold(), pattern.casefold()
    if "*" in pattern or "?" in pattern:
        return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
    return pattern in text


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _values_hint(tree: Node, cells: Sequence[AnyCell]) -> str:
    """For one comparison: which values there are."""
    if not isinstance(tree, Compare):
        return ""
    there = [cell_value(cell, tree.name) for cell in cells if has_value(cell, tree.name)]
    values = list(dict.fromkeys(_text(value) for value in there if value is not None))
    return f"; {tree.name} is {', '.join(values[:12])}{' …' if len(values) > 12 else ''}" if values else ""
