"""Where launches happen. Docker over SSH now; a batch system would answer the same questions.

A site has no memory of its own: after a crash, a new site over the same hosts sees what the old one saw.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from console.fleet.vitals import Vitals
from console.model.attempt import Beat, FailureClass, Gap, LogFrame
from console.model.events import Cursor, FetchProgress
from console.model.facts import HostFacts
from console.model.launch import Launch, Part


class SiteError(Exception):
    """The site could not do it: `host`, what happened, and what to do. `retry` when trying again may help."""

    def __init__(
        self,
        host: str,
        message: str,
        *,
        remedy: str = "",
        retry: bool = False,
        failure: FailureClass = FailureClass.DOCKER,
    ) -> None:
        super().__init__(f"{host}: {message}" + (f"; {remedy}" if remedy else ""))
        self.host = host
        self.message = message
        self.remedy = remedy
        self.retry = retry
        self.failure = failure

    @property
    def line(self) -> str:
        """What happened and where, without the remedy, for records that keep that apart."""
        return f"{self.host}: {self.message}"


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


class ImageSeen(msgspec.Struct, frozen=True):
    """An image on a host: its local id, and the registry digest when it came from a registry."""

    id: str
    digest: str | None


class Collected(msgspec.Struct, frozen=True):
    """A file of a container: its bytes, or why there are none."""

    path: str
    data: bytes | None
    why: str = ""


class Site(Protocol):
    """The acts and looks a conductor needs. Every call may raise SiteError; none keeps local memory."""

    async def survey(self, host: str, models: Sequence[str], *, light: bool = False) -> HostFacts:
        """Everything a probe reads of the host, what its engine says, and what its cache has of the models.

        `light` leaves out what takes long on a host and no run depends on (amd-smi and its kind).
        """

    async def vitals(self, host: str, hcas: Sequence[str], interfaces: Sequence[str], log_lines: int) -> Vitals:
        """A short look at what counts up on the host: error counters, throttling, the end of the kernel log.

        `hcas` (`mlx5_0:1`) and `interfaces` are those whose counters matter.
        """

    def telemetry(self, host: str) -> AsyncGenerator[Beat | Gap, None]:
        """Live readings of the host, about one a second, for as long as it is iterated; breaks are gaps."""

    def pull(self, host: str, ref: str) -> AsyncIterator[FetchProgress]:
        """Pull an image, yielding progress; ends when it is there. Finished layers are kept when it is cut off."""

    async def image(self, host: str, ref: str) -> ImageSeen | None:
        """The image as the host has it; None when it is not there."""

    async def claim(self, launch: Launch) -> Mapping[str, str] | Busy:
        """Create every part, hosts in sorted order; the lead part of a host carries its claim name.

        Returns container ids by part name. At the first refusal everything created here is removed again and the
        holder is returned. Parts of this very launch that exist already are taken as they are.
        """

    async def observe(self, attempt: str, parts: Sequence[Part]) -> Observation:
        """Look at all parts of an attempt."""

    async def start(self, part: Part) -> str:
        """Start a created part; the daemon's start time."""

    async def give_secrets(self, part: Part, secrets: Mapping[str, str]) -> None:
        """Write the secrets to the part's stdin."""

    def frames(self, part: Part, after: Cursor | None, *, follow: bool) -> AsyncIterator[Sequence[LogFrame]]:
        """The part's log from a cursor on, in batches, as it grows or as it is now.

        The end of the stream is not the end of the run.
        """

    def bars(self, part: Part) -> AsyncIterator[Sequence[LogFrame]]:
        """What is printed from now on, unbuffered by lines: progress bars arrive as they are drawn."""

    async def metrics(self, part: Part) -> bytes:
        """One answer of the part's Prometheus endpoint."""

    async def read_file(self, part: Part, path: str, limit: int) -> Collected:
        """A file of the container, at most `limit` bytes."""

    async def inspect(self, part: Part) -> bytes:
        """The engine's inspect JSON of the container, secrets redacted."""

    async def stop(self, part: Part, grace_s: float) -> None:
        """Ask the part to end, then kill it after the grace."""

    async def leave_receipt(self, host: str, attempt: str, receipt: bytes) -> None:
        """Leave a note of a collected attempt in the host's scratch folder."""

    async def release(self, attempt: str, hosts: Sequence[str]) -> Sequence[str]:
        """Remove the attempt's containers from the hosts; names of what was removed."""
