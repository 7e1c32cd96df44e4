"""Bytes of a log or attach stream to frames: the 8-byte multiplexing header, and the daemon's timestamps. Pure."""

import calendar
import re
from collections.abc import Sequence

from console.model.attempt import LogFrame

_HEADER = 8
_LONGEST = 1 << 26
"""Longer frames do not exist (the daemon cuts lines at 16 KiB); a larger length means the stream is not multiplexed."""

_STAMP = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")
_DAEMON_ERROR = b"Error grabbing logs: "


class NotMultiplexed(Exception):
    """The bytes carry no frame headers: the container has a tty."""


class DaemonSaid(Exception):
    """The daemon put an error of its own into the stream instead of the container's output."""


class FrameSplitter:
    """Cuts a multiplexed stream into (stream number, payload), however the bytes arrive."""

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def empty(self) -> bool:
        """True when the bytes so far end with a whole frame."""
        return not self._pending

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete with these bytes."""
        pending = self._pending
        pending += data
        found: list[tuple[int, bytes]] = []
        at = 0
        size = len(pending)
        while size - at >= _HEADER:
            stream = pending[at]
            length = int.from_bytes(pending[at + 4 : at + 8], "big")
            if stream > 3 or pending[at + 1 : at + 4] != b"\0\0\0" or length > _LONGEST:
                raise NotMultiplexed
            if size - at - _HEADER < length:
                break
            start = at + _HEADER
            at = start + length
            if length:
                found.append((stream, bytes(pending[start:at])))
        del pending[:at]
        return found


class StampReader:
    """Takes the daemon's timestamp off each payload of a `timestamps=1` stream.

    A payload without one (not seen from dockerd for output of the container) keeps its bytes and takes the time of
    the frame before it.
    """

    def __init__(self) -> None:
        self._second = b""
        self._second_ns = 0
        self._last_ns = 0

    def frames(self, split: Sequence[tuple[int, bytes]]) -> list[LogFrame]:
        """Frames of the container's output. DaemonSaid for an error of the daemon's own."""
        return [self._frame(stream, payload) for stream, payload in split]

    def _frame(self, stream: int, payload: bytes) -> LogFrame:
        # RFC3339NanoFixed in UTC, as dockerd writes it: 30 characters and a space
        if len(payload) > 30 and payload[29:31] == b"Z " and payload[19:20] == b"." and payload[20:29].isdigit():
            second = payload[:19]
            if second != self._second:
                match = _STAMP.match(payload)
                if match is None:
                    return self._bare(stream, payload)
                self._second, self._second_ns = second, _epoch_s(match) * 1_000_000_000
            self._last_ns = self._second_ns + int(payload[20:29])
            return LogFrame(self._last_ns, stream, payload[31:])
        match = _STAMP.match(payload)
        if match is None:
            return self._bare(stream, payload)
        self._last_ns = (_epoch_s(match) - _offset_s(match[8])) * 1_000_000_000 + int((match[7] or b"0").ljust(9, b"0"))
        return LogFrame(self._last_ns, stream, payload[match.end() :])

    def _bare(self, stream: int, payload: bytes) -> LogFrame:
        if stream == 3 or (stream == 2 and payload.startswith(_DAEMON_ERROR)):
            raise DaemonSaid(payload.decode("utf-8", "replace"))
        return LogFrame(self._last_ns, stream, payload)


def _epoch_s(match: re.Match[bytes]) -> int:
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    return calendar.timegm((year, month, day, hour, minute, second))


def _offset_s(zone: bytes) -> int:
    if zone == b"Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone.startswith(b"-") else seconds
