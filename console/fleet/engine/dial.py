"""The way to an engine's socket: a stream-local channel of the host's connection, or a dial-stdio bridge on it."""

from console.fleet.link import ByteStream, Link
from console.model.facts import DockerAccess


class Dial:
    """Opens byte channels to one engine, one per HTTP connection. Raises LinkError classes.

    An opened channel proves nothing yet: a forward may be granted before anybody has looked for the socket, and a
    bridge command fails only after it was started. `Engine` asks `/_ping` first.
    """

    def __init__(self, link: Link, access: DockerAccess) -> None:
        self._link = link
        self._access = access
        self.host = link.host.name

    @property
    def costs_sessions(self) -> bool:
        """True when each channel is a session of the SSH connection, of which sshd allows ten."""
        return bool(self._access.argv)

    @property
    def describes(self) -> str:
        """The socket or command, for messages."""
        return " ".join(self._access.argv) if self._access.argv else self._access.socket

    async def open(self) -> ByteStream:
        """A new channel to the engine."""
        if self._access.argv:
            return await self._link.open_command(self._access.argv)
        return await self._link.open_unix(self._access.socket)
