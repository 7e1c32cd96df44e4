"""The program behind a container's entry script, and what that script does around it.

The console starts every part through one constant script: `/bin/sh -c SCRIPT name deadline grace folder secrets|-`
as Entrypoint, the program as Cmd. Nothing here depends on the script's text beyond its marker lines on stderr.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MARK = "@@instinct "
DEADLINE_CODE = 124
NO_SECRETS_CODE = 125
FIXED = 5
"""Parameters after the script: name, deadline, grace, folder, secrets."""


@dataclass(frozen=True)
class Entry:
    """What runs. `wrapped` by the console's script; `deadline_s` simulated seconds; `folder` for the secret, if any."""

    argv: tuple[str, ...]
    wrapped: bool = False
    deadline_s: float | None = None
    secrets: bool = False
    folder: str = ""


def entry_of(config: Mapping[str, Any]) -> Entry:
    """Read the create request's Entrypoint and Cmd."""
    entrypoint = [str(one) for one in config.get("Entrypoint") or ()]
    cmd = [str(one) for one in config.get("Cmd") or ()]
    if len(entrypoint) < 3 or entrypoint[:2] != ["/bin/sh", "-c"] or MARK.strip() not in entrypoint[2]:
        return Entry((*entrypoint, *cmd))
    fixed, rest = entrypoint[3 : 3 + FIXED], entrypoint[3 + FIXED :]
    deadline = next((float(one) for one in fixed[1:] if one.isdigit()), 0.0)
    folder = next((one for one in fixed if one.startswith("/")), "/run")
    secrets = bool(fixed) and fixed[-1] not in ("", "-") and len(fixed) == FIXED
    return Entry((*rest, *cmd), True, deadline or None, secrets, folder)


def mark(text: str, before: str = "") -> bytes:
    """A marker line as the script prints it on stderr."""
    return f"{before}{MARK}{text}\n".encode()


class SecretReader:
    """Reads what the console delivers on stdin: `begin`, `hf_token …`, `end`; an unfinished delivery is void."""

    def __init__(self) -> None:
        self._rest = b""
        self._token = ""

    def feed(self, data: bytes) -> str:
        """The token once a delivery is complete, else an empty text."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace")
            if line == "begin":
                self._token = ""
            elif line.startswith("hf_token "):
                self._token = line.removeprefix("hf_token ")
            elif line == "end" and self._token:
                return self._token
        return ""


async def receive(stdin: "asyncio.Queue[bytes]", timeout_s: float | None) -> str | None:
    """The token from stdin, None when stdin ends first; TimeoutError after real seconds."""
    reader = SecretReader()

    async def listen() -> str | None:
        while data := await stdin.get():
            if token := reader.feed(data):
                return token
        return None

    return await asyncio.wait_for(listen(), timeout_s)
