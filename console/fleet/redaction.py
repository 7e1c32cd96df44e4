"""A capture without what names a machine, a network or a person: same shape, other values.

Equal values stay equal and different ones different within a capture, so that what belongs together still shows.
"""

import ipaddress
import re
from collections.abc import Callable

import msgspec

from console.fleet.script import Section
from console.model.text import redact

_MAC = re.compile(rb"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_GUID = re.compile(rb"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{4}:){3}[0-9A-Fa-f]{4}(?![0-9A-Fa-f:.])")
_UUID = re.compile(rb"(?<![0-9A-Fa-f-])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f-])")
_IPV4 = re.compile(rb"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(rb"(?<![\w:.])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{3,39}(?![\w:]|\.\d)")
_SERIAL = re.compile(
    rb"(?i)((?:serial(?:_number|no)?|asic_serial|unique[_ ]id|fru_id|uuid|hip_uuid|cuid)\"?[:= ]+\"?(?:0x|GPU-)?)"
    rb"([0-9A-Za-z-]{4,40})"
)
_FILE = re.compile(rb"[\w.-]*/[\w./-]+:")
"""The name before a swept file's line; what follows its colon is a value of its own."""
_VERSIONS = re.compile(rb"(?i)fw_ver|version|firmware|bios|driver|release")


class Redactor:
    """Replaces names of one capture. What it has replaced once it replaces alike everywhere after."""

    def __init__(self, hostname: str = "", user: str = "") -> None:
        self._seen: dict[tuple[str, bytes], bytes] = {}
        words = [(hostname, b"host"), (hostname.partition(".")[0], b"host"), (user, b"user")]
        self._names = [
            (re.compile(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])"), other)
            for word, other in words
            if len(word) > 1 and word not in ("root", "localhost", "amd", "user", "host")
        ]

    def section(self, section: Section) -> Section:
        """A section with other values."""
        return msgspec.structs.replace(section, source=self.text(section.source), data=self.data(section.data))

    def text(self, text: str) -> str:
        """One line of text."""
        return self.data(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def data(self, data: bytes) -> bytes:
        """The same text with other names, line by line."""
        return b"\n".join(self._line(line) for line in data.split(b"\n"))

    def _line(self, line: bytes, versions: bool = False) -> bytes:
        versions = versions or _VERSIONS.search(line) is not None
        prefix = _FILE.match(line)
        if prefix:
            return prefix.group() + self._line(line[prefix.end() :], versions)
        if line.isascii():
            line = redact(line.decode("ascii")).encode("ascii")
        line = _SERIAL.sub(lambda match: match.group(1) + self._same("serial", match.group(2), _alike), line)
        line = _UUID.sub(lambda match: self._same("uuid", match.group(), _alike), line)
        line = _MAC.sub(lambda match: self._same("mac", match.group(), _mac), line)
        line = _IPV6.sub(self._ipv6, line)
        line = _GUID.sub(lambda match: self._same("guid", match.group(), _guid), line)
        if not versions:
            line = _IPV4.sub(self._ipv4, line)
        for pattern, other in self._names:
            line = pattern.sub(other, line)
        return line

    def _same(self, kind: str, value: bytes, make: Callable[[int, bytes], bytes]) -> bytes:
        key = (kind, value.lower())
        if key not in self._seen:
            count = sum(seen == kind for seen, _ in self._seen) + 1
            self._seen[key] = make(count, value)
        return self._seen[key]

    def _ipv4(self, match: re.Match[bytes]) -> bytes:
        try:
            address = ipaddress.IPv4Address(match.group().decode("ascii"))
        except ValueError:
            return match.group()
        if address.is_loopback or address.is_unspecified:
            return match.group()
        return self._same("ipv4", match.group(), lambda count, _: f"192.0.2.{count % 254 + 1}".encode())

    def _ipv6(self, match: re.Match[bytes]) -> bytes:
        try:
            address = ipaddress.IPv6Address(match.group().decode("ascii"))
        except ValueError:
            return match.group()
        if address.is_loopback or address.is_unspecified:
            return match.group()
        return self._same("ipv6", match.group(), lambda count, _: f"2001:db8::{count:x}".encode())


def _alike(count: int, value: bytes) -> bytes:
    """A number of as many digits, dashes where they were."""
    digits = iter(str(count).rjust(sum(byte != 0x2D for byte in value), "0"))
    return "".join("-" if byte == 0x2D else next(digits) for byte in value).encode()


def _mac(count: int, _: bytes) -> bytes:
    return b"02:00:00:00:%02x:%02x" % (count >> 8 & 0xFF, count & 0xFF)


def _guid(count: int, _: bytes) -> bytes:
    return b"0200:0000:0000:%04x" % (count & 0xFFFF)
