"""A matrix that takes the top of another one: what is measured and how, never its rows, figures or sources."""

from collections.abc import Callable, Mapping
from typing import Any

from console.catalog.errors import suggestion
from console.catalog.strict import Source

OWN = frozenset(
    {
        *("name", "title", "extends", "group", "notes", "errata", "deviations"),
        *("source", "dated", "platform", "set", "recipe", "recipe_source"),
    }
)
"""What a matrix says itself. Figures belong to the rows they were measured with, and their source to them."""

MERGED = ("parameters", "under")
"""Tables that are taken over key by key."""


Tops = Mapping[str, Mapping[str, Any]]


def extend(source: Source, all_tops: Callable[[], Tops]) -> None:
    """Complete a matrix file by the one it extends, and that by the one it extends; problems are noted.

    `all_tops` gives the tables of all matrix files by the matrix's name. What the file says itself stands.
    """
    name = source.data.get("extends")
    if not isinstance(name, str):
        return
    seen, tops = [source.data.get("name")], all_tops()
    while isinstance(name, str):
        if name in seen:
            source.problem(("extends",), f"{' extends '.join(map(str, [*seen, name]))}: a circle")
            return
        above = tops.get(name)
        if above is None:
            source.problem(("extends",), f"no matrix is called {name!r}{suggestion(name, tops)}")
            return
        _take_over(source.data, above)
        seen.append(name)
        name = above.get("extends")


def _take_over(data: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if key in OWN:
            continue
        mine = data.get(key)
        if key in MERGED and isinstance(value, dict) and isinstance(mine, dict):
            data[key] = value | mine
        elif key == "metrics" and isinstance(value, list) and isinstance(mine, list):
            data[key] = [*value, *mine]
        else:
            data.setdefault(key, value)
