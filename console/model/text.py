"""Host bytes to text that is safe on a terminal, and the removal of secrets from anything stored or shown."""

import re
from collections.abc import Iterable
from typing import NewType

Clean = NewType("Clean", str)
"""Text that came from a host and may be shown: no escapes, controls or bidi marks, bounded lines. Never markup."""

LINE_LIMIT = 8192

_ESCAPES = re.compile(
    r"""
    \x1b\[ [0-?]* [ -/]* [@-~]?                  # CSI, also cut off
  | \x9b [0-?]* [ -/]* [@-~]?                    # CSI in its C1 form
  | (?:\x1b[\]PX^_] | [\x90\x98\x9d\x9e\x9f])    # OSC, DCS, SOS, PM, APC and their C1 forms ...
    [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c)?     # ... to their end, or to the end of the line when it never comes
  | \x1b [ -/]* [0-~]?                           # two-character escapes
    """,
    re.VERBOSE,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_SECRETS = re.compile(
    r"""
    hf_[A-Za-z0-9]{8,}                                         # Hugging Face tokens
  | gh[pousr]_[A-Za-z0-9]{16,}                                 # GitHub tokens
  | (?<=[Bb]earer\ )[A-Za-z0-9._~+/=-]{12,}                    # HTTP bearer
  | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)                            # user:password in an address
    """,
    re.VERBOSE,
)
REDACTED = "[redacted]"


def clean(raw: bytes | str, limit: int = LINE_LIMIT) -> Clean:
    """Decode (UTF-8, bad bytes replaced) and strip everything a terminal would act on; keeps tabs and newlines.

    Lines longer than `limit` characters are cut and marked with an ellipsis. Carriage returns become newlines,
    so that a progress bar reads as successive lines.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if text.isascii() and text.isprintable():  # most of what hosts say: one line with nothing to strip
        return Clean(text if len(text) <= limit else text[: limit - 1] + "…")
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROLS.sub("", text)
    if len(text) > limit:
        text = "\n".join(line if len(line) <= limit else line[: limit - 1] + "…" for line in text.split("\n"))
    return Clean(text)


def clean_line(raw: bytes | str, limit: int = 300) -> Clean:
    """One line of clean text: inner newlines become spaces, the ends are trimmed."""
    return Clean(" ".join(clean(raw, LINE_LIMIT).split())[:limit])


def safe_line(raw: bytes | str, limit: int = 300) -> Clean:
    """One line of clean text without secrets; a secret is found before the line is cut, else half of it would stay."""
    return Clean(redact(clean_line(raw, LINE_LIMIT))[:limit])


def pasteable(command: str) -> Clean:
    """A command as it may be shown and pasted: clean, without secrets, white space in quoted arguments as it is."""
    return clean(redact(command), 100_000)


def some(names: Iterable[str], most: int = 4) -> str:
    """The first few names and how many more: `a, b, c, d and 3 more`."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def redact(text: str) -> str:
    """Replace tokens and passwords by `[redacted]`."""
    return _SECRETS.sub(REDACTED, text)
