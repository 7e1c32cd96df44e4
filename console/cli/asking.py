"""Questions to a person, where there is one. Nothing needs them: without a terminal nobody is asked."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from console.cli import printing
from console.model.text import clean_line

if TYPE_CHECKING:
    from console.desk.surveying import Ask


def somebody_there() -> bool:
    """True when a person can be asked and can read the question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asker() -> "Ask | None":
    """Answers prompts of servers (passwords, one-time codes); None without a terminal."""
    return _answer if somebody_there() else None


async def _answer(host: str, prompt: str, echo: bool) -> str | None:
    text = clean_line(f"{host}: {prompt}").rstrip(": ")
    try:
        said: str = await asyncio.to_thread(
            click.prompt, text, default="", show_default=False, hide_input=not echo, err=True
        )
    except click.Abort:
        return None
    return said or None


def confirmed(question: str) -> bool:
    """A yes or no; no by default, and no when the input ends."""
    try:
        return click.confirm(clean_line(question), default=False, err=True)
    except click.Abort:
        printing.note("")
        return False
