"""What went wrong on the way to a host, in the classes of `link`: from exceptions of asyncssh and of the system."""

import errno
import shlex
import socket

import asyncssh

from console.fleet.hostkeys import KnownHosts
from console.fleet.link import (
    AuthFailed,
    ChannelRefused,
    ConfigError,
    LinkError,
    LinkLost,
    NameError_,
    Refused,
    TimedOut,
)
from console.fleet.sshconfig import Settings

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
_BUSY = "too many connections at once (MaxStartups), or this address is locked out after failed sign-ins"


class HandshakeCut(Refused):
    """The server closed the connection before sign-in; it may take the next one."""


def reaching(settings: Settings, error: BaseException) -> LinkError:
    """Why no TCP connection came about."""
    name, place = settings.target.name, f"{settings.host}:{settings.port}"
    if isinstance(error, socket.gaierror | UnicodeError):
        remedy = "check its address in the fleet file, or the name service"
        return NameError_(name, f"{settings.host!r} does not resolve: {error}", remedy)
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno == errno.ETIMEDOUT):
        return TimedOut(name, f"no answer from {place}", "is it up, and does a firewall or a jump host stand between?")
    if isinstance(error, ConnectionRefusedError):
        return Refused(name, f"nothing listens on {place}", "is sshd running there, and is the port right?")
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return Refused(name, f"no route to {place}: {error.strerror}", "check the network, or set a jump host")
    return Refused(name, f"{place}: {error}", "")


def signing_in(
    settings: Settings,
    error: BaseException,
    *,
    known: KnownHosts,
    shown: asyncssh.SSHKey | None,
    peer: str,
    wanted: tuple[str, ...],
    via: str | None,
) -> LinkError:
    """Why a connection that was made did not become a session. `wanted`: ways to sign in that need a person."""
    name = settings.target.name
    text = str(error)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        refusal = known.refusal(name, shown, settings.key_name, peer, settings.port, text)
        return _with_notes(refusal, [note for note in settings.notes if "KnownHosts" in note])
    if isinstance(error, asyncssh.KeyExchangeFailed):
        refusal = known.refusal(name, None, settings.key_name, peer, settings.port, text)
        if "host key" in text.lower() and type(refusal).__name__ == "KeyChanged":
            return refusal
        return ConfigError(name, f"no common way to encrypt: {text}", "look at Ciphers and the like on both sides")
    if isinstance(error, asyncssh.PermissionDenied) or "authentication failures" in text:
        return _refused_user(settings, wanted)
    if isinstance(error, asyncssh.ChannelOpenError):
        return _behind(settings, error, via)
    if isinstance(error, TimeoutError):
        return TimedOut(
            name, f"{settings.host}:{settings.port} took the connection and then said nothing", "is sshd hung?"
        )
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError | FileNotFoundError | ValueError):
        if settings.target.identity is not None:
            where = f"identity {settings.target.identity} cannot be used: {text}"
            return ConfigError(name, where, "correct it, or its name in the fleet file")
        return ConfigError(name, f"a key or setting for it cannot be used: {text}", "correct the ssh configuration")
    if isinstance(error, asyncssh.DisconnectError | OSError):
        return HandshakeCut(name, f"the connection was closed during the handshake: {text}", _BUSY)
    return LinkLost(name, f"{type(error).__name__}: {text}", "")


def _by_hand(settings: Settings) -> str:
    """How a person would sign in with the same key."""
    identity = settings.target.identity
    words = ["ssh", *(("-p", str(settings.port)) if settings.port != 22 else ())]
    words += ["-i", str(identity)] if identity is not None else []
    return shlex.join([*words, f"{settings.user}@{settings.host}"])


def _refused_user(settings: Settings, wanted: tuple[str, ...]) -> LinkError:
    name = settings.target.name
    if wanted:
        ways = " or ".join(wanted)
        remedy = f"it asks for {ways}: sign in with `instinct hosts login {name}`, or add a key"
    else:
        remedy = f"check the key: `{_by_hand(settings)}` should get in; it is not tried again by itself"
    return _with_notes(
        AuthFailed(name, f"user {settings.user} was not let in", remedy),
        [note for note in settings.notes if "IdentityFile" in note],
    )


def _behind(settings: Settings, error: asyncssh.ChannelOpenError, via: str | None) -> LinkError:
    name, place = settings.target.name, f"{settings.host}:{settings.port}"
    text = str(error)
    if "refused" in text.lower():
        return Refused(name, f"nothing listens on {place}, as seen from {via}", "is sshd running there?")
    if "resolve" in text.lower() or "not known" in text.lower():
        return NameError_(name, f"{settings.host!r} does not resolve on {via}", "check its address in the fleet file")
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return ChannelRefused(
            name,
            f"jump host {via} does not pass connections on to {place}: {text}",
            "allow it there (AllowTcpForwarding, PermitOpen)",
            reason="forwarding",
        )
    return Refused(name, f"{place} cannot be reached from {via}: {text}", "is it up?")


def _with_notes(error: LinkError, notes: list[str]) -> LinkError:
    if notes:
        error.remedy = "; ".join([error.remedy, *notes])
        error.args = (f"{error.host}: {error.message}; {error.remedy}",)
    return error


def through(host: str, hop: str, error: LinkError) -> LinkError:
    """The failure of a jump host, told of the host behind it; the class stays."""
    return retold(host, f"jump host {hop}: {error.message}", error)


def retold(host: str, message: str, error: LinkError) -> LinkError:
    """An error of the same class, reason and remedy for another host or at another time."""
    told = type(error)(host, message, error.remedy)
    if isinstance(told, ChannelRefused) and isinstance(error, ChannelRefused):
        told.reason = error.reason
    told.__cause__ = error
    return told
