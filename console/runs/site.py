"""Where launches happen. Docker over SSH now; a batch system would answer the same questions.

A site has no memory of its own: after a crash, a new site over the same hosts sees what the old one saw.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from console.model.attempt import LogFrame
from console.model.events import Cursor, FetchProgress
from console.model.launch import Launch, Need, Part, Placement


class SiteError(Exception):
    """The site could not do it: `host`, what happened, and what to do. `retry` when trying again may help."""

    def __init__(self, host: str, message: str, *, remedy: str = "", retry: bool = False) -> None:
        super().__init__(f"{host}: {message}" + (f"; {remedy}" if remedy else ""))
        self.host = host
        self.message = message
        self.remedy = remedy
        self.retry = retry


class Busy(msgspec.Struct, frozen=True):
    """A host is held by somebody else; `holder` names who and which run, `since` is the host's RFC 3339 time."""

    host: str
    holder: str
    since: str


class PartSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What `inspect` says of one part. `blocked`: it waits for its secrets on stdin."""

    part: str
    host: str
    state: Literal["absent", "created", "blocked", "running", "exited", "unreachable"]
    container_id: str = ""
    launch_hash: str = ""
    exit_code: int | None = None
    out_of_memory: bool = False
    error: str = ""
    started_at: str = ""
    finished_at: str = ""


class Observation(msgspec.Struct, frozen=True):
    """One look at everything an attempt has on its hosts."""

    parts: Mapping[str, PartSeen]
    detail: str = ""

    @property
    def unreachable(self) -> bool:
        """True when some host did not answer; nothing may be concluded about its parts."""
        return any(part.state == "unreachable" for part in self.parts.values())


class Collected(msgspec.Struct, frozen=True):
    """A file of a container: its bytes, or why there are none."""

    path: str
    data: bytes | None
    why: str = ""


class Site(Protocol):
    """The acts and looks a conductor needs. Every call may raise SiteError; none keeps local memory."""

    async def seats(self, need: Need, hosts: Sequence[str]) -> Placement:
        """Addresses, GPUs, groups and paths of the hosts in rank order."""

    async def ensure_image(self, host: str, ref: str, digest: str | None) -> AsyncIterator[FetchProgress]:
        """Pull when missing, yielding progress; ends when the image is there."""
        yield ...  # type: ignore[misc]  # a protocol's async generator needs a yield to be one

    async def image_digest(self, host: str, ref: str) -> tuple[str, str | None]:
        """Local image id, and the repository digest when the image came from a registry."""

    async def claim(self, launch: Launch) -> Busy | None:
        """Create every part, hosts in sorted order; the lead part of a host carries its claim name.

        At the first refusal everything created here is removed again and the holder is returned.
        """

    async def observe(self, attempt: str, parts: Sequence[Part]) -> Observation:
        """Look at all parts of an attempt."""

    async def start(self, part: Part) -> str:
        """Start a created part; the daemon's start time."""

    async def give_secrets(self, part: Part, secrets: Mapping[str, str]) -> None:
        """Write the secrets to the part's stdin."""

    def frames(self, part: Part, after: Cursor | None) -> AsyncIterator[Sequence[LogFrame]]:
        """The part's log from a cursor on, in batches. The end of the stream is not the end of the run."""

    def bars(self, part: Part) -> AsyncIterator[Sequence[LogFrame]]:
        """What is printed from now on, unbuffered by lines: progress bars arrive as they are drawn."""

    async def metrics(self, part: Part) -> bytes:
        """One answer of the part's Prometheus endpoint."""

    async def fetch(self, part: Part, path: str, limit: int) -> Collected:
        """A file of the container, at most `limit` bytes."""

    async def inspect(self, part: Part) -> bytes:
        """The engine's inspect JSON of the container, secrets redacted."""

    async def stop(self, part: Part, grace_s: float) -> None:
        """Ask the part to end, then kill it after the grace."""

    async def release(self, attempt: str, hosts: Sequence[str]) -> Sequence[str]:
        """Remove the attempt's containers from the hosts; names of what was removed."""
