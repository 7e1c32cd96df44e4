"""The connections of a fleet: one per host, one per jump host, made when asked for and made again when lost."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import asyncssh
import msgspec

from console.fleet import scanning
from console.fleet.dialling import Ask, Dialler
from console.fleet.faults import HandshakeCut, retold, through
from console.fleet.host import Fleet, Host
from console.fleet.hostkeys import HostKey, KnownHosts, KnownHostsCache, own_file
from console.fleet.link import AuthFailed, ConfigError, Link, LinkError
from console.fleet.local import LocalLink
from console.fleet.ssh import SshLink
from console.fleet.sshconfig import Settings, Target, resolve

BACKOFF_S = (0.5, 30.0)
"""First and longest pause after a failed attempt; doubled each time, with jitter."""
CLOSING = "the console is closing its connections"
_HOPS = 8
_JUMP = "jump:"
_HOP = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<bracketed>[^\]]+)\]|(?P<address>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


class LinkChange(msgspec.Struct, frozen=True):
    """Something happened to the connection of a host; `detail` is for people."""

    host: str
    state: Literal["connecting", "connected", "lost", "failed"]
    detail: str = ""


class _Route:
    """The connection to one place, and how often it failed lately."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.link: Link | None = None
        self.failures = 0
        self.not_before = 0.0
        self.error: LinkError | None = None


class Links:
    """Connections by host name. Not thread-safe: it belongs to one event loop.

    A failed attempt is remembered: within its pause the same error is raised again without another attempt, and a
    refused sign-in is not tried again at all until `forget`.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        ask: Ask | None = None,
        on_change: Callable[[LinkChange], None] | None = None,
        own_keys: Path | None = None,
    ) -> None:
        self.fleet = fleet
        self._own_keys = own_keys or own_file()
        self._on_change = on_change
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="ssh-set-up")
        self._dialler = Dialler(fleet, self._pool, ask=ask)
        self._known = KnownHostsCache()
        self._routes: dict[tuple[str, ...], _Route] = {}
        self._closed = False

    async def get(self, name: str) -> Link:
        """The live link of a host, made now if need be. Raises LinkError classes; KeyError for a name not in the fleet.

        A connection cut in the middle of its handshake is tried again a few times; nothing else is.
        """
        host = self.fleet.host(name)
        if host.local:
            route = self._routes.setdefault((name,), _Route())
            if route.link is None or route.link.closed:
                route.link = LocalLink(host)
            return route.link
        return await self._link(_target(host), (), (name,))

    async def reach(self, name: str, *, patience_s: float) -> Link:
        """Like `get`, but failures of the transport are tried again with growing pauses until patience ends."""
        until = time.monotonic() + patience_s
        while True:
            try:
                return await self.get(name)
            except LinkError as error:
                route = self._routes.get((name,))
                pause = max(0.05, (route.not_before if route else 0.0) - time.monotonic())
                if not error.transport or time.monotonic() + pause > until:
                    raise
                await asyncio.sleep(pause)

    def forget(self, name: str) -> None:
        """Forget failed attempts on the way to a host: the person has changed something."""
        for key, route in self._routes.items():
            if name in key:
                route.failures, route.not_before, route.error = 0, 0.0, None

    async def sign_in(self, name: str) -> Link:
        """The live link of a host, or of a jump host by its name: prompts of a bastion are answered once, here."""
        if any(host.name == name for host in self.fleet.hosts):
            return await self.get(name)
        return await self._link(self._hop(name), (name,), (_JUMP, name))

    async def scan(self, name: str) -> tuple[HostKey, ...]:
        """The host keys of a host, or of a jump host by its name, fetched without signing in."""
        target = self._find(name)
        settings = await self._settings(target)
        via, via_name = await self._behind(settings, (), (name,))
        return await scanning.scan(self._dialler, settings, via, via_name)

    async def known(self, name: str) -> KnownHosts:
        """The host keys on record that apply to a host."""
        return self._record(await self._settings(self._find(name)))

    @property
    def trust_file(self) -> Path:
        """Where trusted keys of this fleet are written."""
        return self.fleet.known_hosts[0] if self.fleet.isolated and self.fleet.known_hosts else self._own_keys

    async def close(self) -> None:
        """Close every connection, those behind jump hosts first."""
        self._closed = True
        routes = sorted(self._routes.items(), key=lambda item: -len(item[0]))
        links = [route.link for _, route in routes if route.link is not None]
        behind = [link for link in links if not (isinstance(link, SshLink) and link.host.name.startswith(_JUMP))]
        await asyncio.gather(*(link.close() for link in behind))
        await asyncio.gather(*(link.close() for link in links if link not in behind))
        self._pool.shutdown(wait=False, cancel_futures=True)

    # --- one route

    async def _link(self, target: Target, hops: tuple[str, ...], key: tuple[str, ...]) -> Link:
        route = self._routes.setdefault(key, _Route())
        async with route.lock:
            if self._over():
                raise LinkError(target.name, CLOSING)
            if route.link is not None and not route.link.closed:
                return route.link
            if route.error is not None and (isinstance(route.error, AuthFailed) or time.monotonic() < route.not_before):
                raise retold(target.name, route.error.message, route.error) from route.error
            self._tell(target.name, "connecting")
            try:
                route.link = await self._connect(target, hops, key)
            except LinkError as error:
                route.failures += 1
                route.error = error
                route.not_before = time.monotonic() + _pause(route.failures)
                self._tell(target.name, "failed", str(error))
                raise
            if self._over():  # meanwhile: nobody else would close it
                await route.link.close()
                raise LinkError(target.name, CLOSING)
            route.failures, route.error = 0, None
            self._tell(target.name, "connected")
            return route.link

    def _over(self) -> bool:
        return self._closed

    async def _connect(self, target: Target, hops: tuple[str, ...], key: tuple[str, ...]) -> SshLink:
        settings = await self._settings(target)
        for attempt in range(1, 4):
            via, via_name = await self._behind(settings, hops, key)
            try:
                connection, greeter = await self._dialler.connect(settings, self._record(settings), via, via_name)
            except HandshakeCut:
                if attempt == 3:
                    raise
                await asyncio.sleep(_pause(attempt))
                continue
            link = SshLink(self._host_of(target, key), connection, settings.user)
            link.on_lost = lambda error: self._tell(target.name, "lost", error.message)
            greeter.on_lost = link.went
            return link
        raise AssertionError("unreachable")

    async def _behind(
        self, settings: Settings, hops: tuple[str, ...], key: tuple[str, ...]
    ) -> tuple[asyncssh.SSHClientConnection | None, str | None]:
        """The connection of the last jump host before a target, shared by everything behind it."""
        if not settings.jumps or settings.jumps == (settings.target.name,):
            return None, None  # `Host *` with a ProxyJump also matches the jump host itself
        *before, hop = settings.jumps
        if hop in hops or len(hops) >= _HOPS:
            chain = " -> ".join((*hops, hop))
            raise ConfigError(settings.target.name, f"its jump hosts lead in a circle: {chain}", "look at ProxyJump")
        try:
            target = self._hop(hop)
            if before:
                target = msgspec.structs.replace(target, jump=",".join(before))
            link = await self._link(target, (*hops, hop), (_JUMP, *settings.jumps))
        except LinkError as error:
            raise through(settings.target.name, hop, error) from error
        assert isinstance(link, SshLink)  # noqa: S101 - jump hosts are never local
        return link.connection, hop

    async def _settings(self, target: Target) -> Settings:
        return await asyncio.get_running_loop().run_in_executor(self._pool, resolve, self.fleet, target)

    def _record(self, settings: Settings) -> KnownHosts:
        own = () if self.fleet.isolated else (self._own_keys,)
        return self._known.get((*own, *settings.known_hosts))

    def _find(self, name: str) -> Target:
        for host in self.fleet.hosts:
            if host.name == name:
                return _target(host)
        return self._hop(name)

    def _hop(self, hop: str) -> Target:
        """A jump host: a host of the fleet by its name, or `[user@]host[:port]`."""
        match = _HOP.fullmatch(hop)
        if match is None:
            raise ConfigError(hop, "is no jump host", "write it as [user@]host[:port]")
        address = match["bracketed"] or match["address"]
        port = int(match["port"]) if match["port"] else None
        for host in self.fleet.hosts:
            if host.name == address and not host.local:
                known = _target(host)
                return msgspec.structs.replace(
                    known, name=hop, user=match["user"] or known.user, port=port or known.port
                )
        identities = [host.identity for host in self.fleet.hosts if host.identity] if self.fleet.isolated else []
        identity = identities[0] if identities else None
        return Target(name=hop, address=address, user=match["user"], port=port, identity=identity)

    def _host_of(self, target: Target, key: tuple[str, ...]) -> Host:
        if key[0] == _JUMP:
            return Host(name=_JUMP + target.name, address=target.address)
        return self.fleet.host(target.name)

    def _tell(self, host: str, state: Literal["connecting", "connected", "lost", "failed"], detail: str = "") -> None:
        if self._on_change is not None:
            self._on_change(LinkChange(host, state, detail))


def _target(host: Host) -> Target:
    return Target(
        name=host.name, address=host.address, user=host.user, port=host.port, jump=host.jump, identity=host.identity
    )


def _pause(failures: int) -> float:
    """Seconds to wait after that many failures: exponential, capped, with jitter."""
    first, longest = BACKOFF_S
    full = min(longest, first * 2.0 ** min(failures - 1, 16))
    return random.uniform(full / 2, full)  # noqa: S311 - jitter, not a secret
