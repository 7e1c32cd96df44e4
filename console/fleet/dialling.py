"""Making one SSH connection: socket, host key, sign-in, each with its own patience and its own error."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import asyncssh

from console.fleet.faults import reaching, signing_in
from console.fleet.host import Fleet, SshOptions
from console.fleet.hostkeys import KnownHosts
from console.fleet.link import LinkError
from console.fleet.sshconfig import Settings
from console.model.text import clean

Ask = Callable[[str, str, bool], Awaitable[str | None]]
"""ask(host, prompt, echo): a person's answer to a password or one-time-code prompt; None gives up."""

CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr"
"""GCM first: half the processor time of the default when logs stream."""


class Greeter(asyncssh.SSHClient):
    """Notes what happens while a connection is made, stretches the deadline while a person types, reports the end."""

    def __init__(self, host: str, ask: Ask | None, login_timeout_s: float) -> None:
        self._host, self._ask, self._login_timeout_s = host, ask, login_timeout_s
        self.deadline: asyncio.Timeout | None = None
        self.shown: asyncssh.SSHKey | None = None
        self.peer = ""
        self.wanted: list[str] = []
        self.on_lost: Callable[[Exception | None], None] | None = None
        self._asked_password = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called for keys that are not on record, unknown and changed alike: noted for the message, never accepted."""
        self.shown, self.peer = key, addr
        return False

    def begin_auth(self, username: str) -> None:
        """The host key was accepted; signing in starts."""
        self._give(self._login_timeout_s)

    async def password_auth_requested(self) -> str | None:
        """Ask for a password once; a second question would be a second failure on the server's count."""
        if self._ask is None or self._asked_password:
            if self._ask is None:
                self.wanted.append("a password")
            return None
        self._asked_password = True
        return await self._answer("Password: ", echo=False)

    def kbdint_auth_requested(self) -> str | None:
        """Whether prompts of the server can be answered."""
        if self._ask is None:
            self.wanted.append("a sign-in with prompts")
            return None
        return ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        """Put the server's prompts to a person, one after the other."""
        answers: list[str] = []
        for number, (prompt, echo) in enumerate(prompts):
            lead = [name, instructions] if number == 0 else []
            answer = await self._answer("\n".join(clean(text) for text in (*lead, prompt) if text), echo=echo)
            if answer is None:
                return None
            answers.append(answer)
        return answers

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended, for whatever reason."""
        if self.on_lost is not None:
            self.on_lost(exc)

    async def _answer(self, prompt: str, *, echo: bool) -> str | None:
        assert self._ask is not None  # noqa: S101 - the callers looked
        self._give(None)
        try:
            return await self._ask(self._host, prompt, echo)
        finally:
            self._give(self._login_timeout_s)

    def _give(self, seconds: float | None) -> None:
        if self.deadline is not None and not self.deadline.expired():
            now = asyncio.get_running_loop().time()
            self.deadline.reschedule(None if seconds is None else now + seconds)


class Dialler:
    """Makes connections: a small pool for what blocks (name service, key files), few handshakes at a time."""

    def __init__(self, fleet: Fleet, pool: ThreadPoolExecutor, *, handshakes: int = 8, ask: Ask | None = None) -> None:
        self._ssh: SshOptions = fleet.ssh
        self._isolated = fleet.isolated
        self._pool = pool
        self.handshakes = asyncio.Semaphore(handshakes)
        self._ask = ask

    async def connect(
        self, settings: Settings, known: KnownHosts, via: asyncssh.SSHClientConnection | None, via_name: str | None
    ) -> tuple[asyncssh.SSHClientConnection, Greeter]:
        """A signed-in connection. Raises LinkError classes."""
        greeter = Greeter(settings.target.name, self._ask, self._ssh.login_timeout_s)
        sock = await self.socket_to(settings) if via is None and not settings.proxy_command else None
        try:
            async with self.handshakes, asyncio.timeout(self.patience(settings)) as greeter.deadline:
                options = await self.prepare(settings, known, greeter)
                connection = await asyncssh.connect(
                    settings.host, settings.port, options=options, config=None, sock=sock, tunnel=via
                )
                greeter.deadline.reschedule(None)
        except (asyncssh.Error, OSError, ValueError) as error:
            if sock is not None:
                sock.close()
            raise signing_in(
                settings,
                error,
                known=known,
                shown=greeter.shown,
                peer=greeter.peer,
                wanted=tuple(dict.fromkeys(greeter.wanted)),
                via=via_name,
            ) from error
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        return connection, greeter

    async def prepare(
        self, settings: Settings, known: KnownHosts, greeter: Greeter
    ) -> asyncssh.SSHClientConnectionOptions:
        """asyncssh's options for a connection; key files are read in the pool."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._options, settings, known, greeter)

    def _options(self, settings: Settings, known: KnownHosts, greeter: Greeter) -> asyncssh.SSHClientConnectionOptions:
        keys: object = () if settings.client_keys is None else list(settings.client_keys)
        more: dict[str, object] = {}
        if not settings.ciphers_chosen:
            more["encryption_algs"] = CIPHERS
        if not settings.compression_chosen:
            more["compression_algs"] = "none"
        if self._isolated:
            more["agent_path"] = None
        if settings.jumps:
            more["proxy_command"] = None
        options = asyncssh.SSHClientConnectionOptions(config=None, client_keys=None, host=settings.host)
        options.update(
            last_config=settings.config,
            client_factory=lambda: greeter,
            host=settings.host,
            port=settings.port,
            username=settings.user,
            known_hosts=known.record,
            x509_trusted_certs=None,
            client_keys=keys if keys != [] or not self._isolated else None,
            ignore_encrypted=True,
            agent_forwarding=False,
            command=None,
            request_pty=False,
            env=None,
            send_env=None,
            gss_host=None,
            connect_timeout=None,
            login_timeout=0,
            keepalive_interval=self._ssh.keepalive_s,
            keepalive_count_max=self._ssh.keepalive_count,
            **more,
        )
        return options

    async def socket_to(self, settings: Settings) -> socket.socket:
        """A connected TCP socket: every address of the name is tried in turn within the connect timeout."""
        loop = asyncio.get_running_loop()
        patience = self.patience(settings)
        bind = settings.config.get("BindAddress")
        family = settings.config.get("AddressFamily", socket.AF_UNSPEC)
        try:
            async with asyncio.timeout(patience):
                found = await loop.run_in_executor(
                    self._pool, lambda: socket.getaddrinfo(settings.host, settings.port, family, socket.SOCK_STREAM)
                )
        except (OSError, UnicodeError) as error:
            raise reaching(settings, error) from error
        problem: LinkError = reaching(settings, OSError("no address"))
        for kind, form, protocol, _, address in found:
            sock = socket.socket(kind, form, protocol)
            sock.setblocking(False)
            try:
                if bind:
                    sock.bind((str(bind), 0))
                async with asyncio.timeout(patience / len(found)):
                    await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                problem = reaching(settings, error)
                problem.__cause__ = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise problem

    def patience(self, settings: Settings) -> float:
        """Seconds for the connection, and again for the sign-in to begin."""
        return settings.connect_timeout_s or self._ssh.connect_timeout_s
