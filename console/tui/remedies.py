"""Remedies as a person reads and pastes them. Pure."""

import re


def named(remedy: str, host: str) -> str:
    """A remedy with the host's name where it says HOST."""
    return re.sub(r"\bHOST\b", lambda _: host, remedy)


def command(remedy: str, host: str) -> str:
    """The part of a remedy that can be pasted: without the remark after it."""
    return named(remedy, host).partition("   #")[0].strip()
