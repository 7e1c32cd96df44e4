"""What the live fleet feed says of a host. Times are UTC nanoseconds on our clock; texts may be a host's own."""

import msgspec

from console.health.report import HostHealth
from console.model.attempt import Beat
from console.model.facts import HostFacts


class Asking(msgspec.Struct, frozen=True):
    """A look at a host begins; `tries` counts the looks since it last answered, this one included."""

    host: str
    at_ns: int
    tries: int = 1


class Seen(msgspec.Struct, frozen=True):
    """A host answered. `health` is None until it is judged; the verdict before it then stays on show."""

    host: str
    at_ns: int
    facts: HostFacts
    health: HostHealth | None = None


class Missing(msgspec.Struct, frozen=True):
    """A host did not answer: why, what to do, when it is tried again (None: not until somebody asks for it).

    `since_ns` is when it was first found missing.
    """

    host: str
    at_ns: int
    why: str
    remedy: str
    retry_at_ns: int | None
    since_ns: int


class Pulse(msgspec.Struct, frozen=True):
    """Live readings of a host; `at_ns` is their time on our clock, `beat` carries the host's own."""

    host: str
    at_ns: int
    beat: Beat


class Silent(msgspec.Struct, frozen=True):
    """The live readings of a host broke off; what was heard before stays on show, marked as old."""

    host: str
    at_ns: int
    why: str
    retry_at_ns: int


FleetEvent = Asking | Seen | Missing | Pulse | Silent
