"""Where in a TOML text a key stands. The parser gives no lines, so the text is searched along the key path."""

import re
from collections.abc import Sequence

KeyPath = tuple[str | int, ...]
"""Keys and list positions (from 0) from the top of a file to a value."""

_SKIP = re.compile(r'"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*')


def key_text(path: Sequence[str | int]) -> str:
    """A path for people; list positions count from 1: `group#1.rows#3.input_len`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"#{part + 1}"
        else:
            shown = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{shown}" if text else shown
    return text


def line_of(text: str, path: KeyPath) -> int | None:
    """The line (from 1) of the value at `path`, or of the nearest table above it; None when even that is not found."""
    position = found = 0
    headers: list[str] = []
    index = 0
    while index < len(path):
        part = path[index]
        if isinstance(part, int):
            step = _element(text, position, part)
        else:
            headers.append(part)
            following = path[index + 1] if index + 1 < len(path) else None
            step = _header(text, position, headers, following)
            if step is not None and isinstance(following, int):
                index += 1
            if step is None:
                step = _assignment(text, position, part)
        if step is None:
            break
        position = found = step
        index += 1
    if not found:
        return None
    return text.count("\n", 0, found) + 1


def _header(text: str, start: int, parts: list[str], following: str | int | None) -> int | None:
    """Just inside the `[a.b]` of a table, or inside the n-th `[[a.b]]` when a list position follows."""
    name = r"\s*\.\s*".join(_key_pattern(part) for part in parts)
    if isinstance(following, int):
        listed = re.compile(rf"^[ \t]*\[\[\s*{name}\s*\]\]", re.MULTILINE)
        for count, match in enumerate(listed.finditer(text, start)):
            if count == following:
                return match.end()
        return None
    table = re.compile(rf"^[ \t]*\[\s*{name}\s*\]", re.MULTILINE).search(text, start)
    return table.end() if table else None


def _assignment(text: str, start: int, key: str) -> int | None:
    """Just after the first `key =` from `start` on that is neither in a string nor in a comment."""
    wanted = re.compile(rf"(?:^|(?<=[{{,.]))[ \t]*({_key_pattern(key)})[ \t]*=", re.MULTILINE)
    match = wanted.search(_SKIP.sub(_blank_values, text), start)
    return match.end() if match else None


def _element(text: str, start: int, wanted: int) -> int | None:
    """The start of the n-th element of the list that opens next."""
    opening = text.find("[", start)
    if opening < 0:
        return None
    depth = count = 0
    position = opening + 1
    while position < len(text):
        skipped = _SKIP.match(text, position)
        if skipped is None and text[position] in " \t\n":
            position += 1
            continue
        comment = skipped is not None and skipped[0].startswith("#")
        if depth == 0 and count == wanted and not comment and text[position] not in ",]":
            return position
        if skipped is not None:
            position = skipped.end()
            continue
        character = text[position]
        if character in "[{":
            depth += 1
        elif character in "]}":
            if depth == 0:
                return None
            depth -= 1
        elif character == "," and depth == 0:
            count += 1
        position += 1
    return None


def _key_pattern(key: str) -> str:
    escaped = re.escape(key)
    return rf"(?:{escaped}|\"{escaped}\"|'{escaped}')"


def _blank_values(match: re.Match[str]) -> str:
    """Comments and long texts become blanks of the same length; short quoted text may be a key and stays."""
    text = match[0]
    if text.startswith("#") or "=" in text or "\n" in text:
        return re.sub(r"[^\n]", " ", text)
    return text
