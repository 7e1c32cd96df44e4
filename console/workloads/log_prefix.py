"""What stands before a message: process, level, time, file, rank."""

import re

import msgspec

_PREFIX = re.compile(
    r"""
    (?: \( [^()\n]{1,60} \) [ ]? )?                          # (EngineCore_DP0 pid=375), (VllmWorker rank=0 pid=85)
    (?:
        (?P<level> DEBUG | INFO | WARNING | ERROR | CRITICAL )
        (?: [ ]+ \d\d-\d\d [ ] \d\d:\d\d:\d\d [ ] [^\s\]]{1,120} \] [ ]?   # INFO 04-28 12:31:09 [llm_engine.py:243]
          | : [ ]+ )                                                       # uvicorn: `INFO:     `
      | \[? (?P<letter> [IWEF] ) \d{4} [ ] \d\d:\d\d:\d\d\.\d+ [ ] [^\]]{1,120} \] [ ]?   # torch
    )?
    (?: \[ rank \d+ \] : [ ]? )?
    """,
    re.VERBOSE,
)
_LETTERS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}


class Prefixed(msgspec.Struct, frozen=True):
    """A line taken apart: its level, when it has one, and the message with its indentation."""

    level: str | None
    message: str


def take_apart(text: str) -> Prefixed:
    """Split a log line of any vLLM release, uvicorn or torch. A line without a prefix is all message."""
    match = _PREFIX.match(text)
    if match is None:  # cannot happen: every part of the pattern is optional
        return Prefixed(None, text)
    level = match["level"] or _LETTERS.get(match["letter"] or "")
    return Prefixed(level, text[match.end() :])
