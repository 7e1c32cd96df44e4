"""Fetching host keys without signing in, to show their fingerprints to a person."""

import asyncio

import asyncssh

from console.fleet.dialling import Dialler, Greeter
from console.fleet.faults import HandshakeCut, signing_in
from console.fleet.hostkeys import HostKey, KnownHosts, pattern_of
from console.fleet.link import ConfigError
from console.fleet.sshconfig import Settings

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
"""Asked for one after the other: people are given a fingerprint of any of them."""


async def scan(
    dialler: Dialler, settings: Settings, via: asyncssh.SSHClientConnection | None, via_name: str | None
) -> tuple[HostKey, ...]:
    """The keys a server shows, one per kind. Nothing is trusted by it, and no user name is sent."""
    found: list[HostKey] = []
    nothing = KnownHosts(())
    cut: HandshakeCut | None = None
    for kind in KINDS:
        try:
            key = await _key(dialler, settings, via, via_name, kind, nothing)
        except HandshakeCut as error:  # some servers drop the connection where they have no key of that kind
            cut, key = error, None
        if key is not None:
            pattern = pattern_of(settings.key_name, settings.port)
            text = key.export_public_key("openssh").decode("ascii").split()
            found.append(
                HostKey(
                    host=settings.target.name,
                    pattern=pattern,
                    algorithm=key.get_algorithm(),
                    fingerprint=key.get_fingerprint(),
                    line=f"{pattern} {text[0]} {text[1]}",
                )
            )
    if not found and cut is not None:
        raise cut
    if not found:
        raise ConfigError(
            settings.target.name, "it shows no host key of a kind we know", f"we ask for {', '.join(KINDS)}"
        )
    return tuple(found)


async def _key(
    dialler: Dialler,
    settings: Settings,
    via: asyncssh.SSHClientConnection | None,
    via_name: str | None,
    kind: str,
    known: KnownHosts,
) -> asyncssh.SSHKey | None:
    greeter = Greeter(settings.target.name, None, dialler.patience(settings))
    sock = await dialler.socket_to(settings) if via is None and not settings.proxy_command else None
    try:
        async with dialler.handshakes, asyncio.timeout(dialler.patience(settings)):
            options = await dialler.prepare(settings, known, greeter)
            return await asyncssh.get_server_host_key(
                settings.host,
                settings.port,
                options=options,
                config=None,
                sock=sock,
                tunnel=via,
                server_host_key_algs=[kind],
            )
    except asyncssh.KeyExchangeFailed:
        return None
    except (asyncssh.Error, OSError, ValueError) as error:
        raise signing_in(settings, error, known=known, shown=None, peer="", wanted=(), via=via_name) from error
    finally:
        if sock is not None:
            sock.close()
