"""What a Docker engine refuses, in our words: which host, what happened, what to do, which class of failure."""

import re
from typing import NamedTuple

from console.fleet.engine.seen import ContainerSeen
from console.model.attempt import FailureClass
from console.model.text import safe_line


class EngineError(Exception):
    """The engine of a host could not do it. `status` is the HTTP status, None when it did not answer at all.

    `retry`: the same request may well succeed later.
    """

    def __init__(
        self,
        host: str,
        message: str,
        remedy: str = "",
        status: int | None = None,
        *,
        failure: FailureClass = FailureClass.DOCKER,
        retry: bool = False,
    ) -> None:
        self.host = host
        self.message = safe_line(message, 600)
        self.remedy = remedy
        self.status = status
        self.failure = failure
        self.retry = retry
        super().__init__(f"{host}: {self.message}" + (f"; {remedy}" if remedy else ""))


class NameTaken(EngineError):
    """A container of that name exists; `holder` is it, or None when it went away in between."""

    def __init__(self, host: str, name: str, holder: ContainerSeen | None) -> None:
        self.name = name
        self.holder = holder
        since = f", created {holder.created_at}" if holder else ""
        super().__init__(
            host,
            f"the name {name} is taken by container {holder.id[:12] if holder else '(gone by now)'}{since}",
            "wait for it, or remove it when nobody needs it",
            409,
            failure=FailureClass.HOST_BUSY,
            retry=True,
        )


class ContainerAbsent(EngineError):
    """There is no such container."""


class ImageAbsent(EngineError):
    """The image is not on the host."""


class FileAbsent(EngineError):
    """There is no such file in the container."""


class FileTooLarge(EngineError):
    """The file is larger than the caller allows."""


class StreamLost(EngineError):
    """A stream broke off before its end; what had arrived is not all."""


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    failure: FailureClass
    remedy: str
    retry: bool = False
    kind: type[EngineError] = EngineError


def _rule(
    pattern: str, failure: FailureClass, remedy: str, *, retry: bool = False, kind: type[EngineError] = EngineError
) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), failure, remedy, retry, kind)


_RULES = (
    _rule(
        r"no space left on device|disk quota exceeded|not enough space",
        FailureClass.DISK_FULL,
        "free space under the engine's root folder, or move it to a larger disk",
    ),
    _rule(
        r'(gathering device information|custom device).*"?/dev/(kfd|dri)|no such file or directory.*/dev/(kfd|dri)',
        FailureClass.NO_KFD,
        "load the amdgpu driver on the host (modprobe amdgpu) and look at its kernel log",
    ),
    _rule(
        r"gathering device information|custom device",
        FailureClass.DOCKER,
        "the device file does not exist on the host; take it out of the placement or load its driver",
    ),
    _rule(
        r"unable to find group",
        FailureClass.GROUP_MISSING,
        "give the group as a number: the id that owns /dev/kfd on the host",
    ),
    _rule(
        r"toomanyrequests|rate limit",
        FailureClass.IMAGE_PULL,
        "the registry limits pulls; wait, or sign in on the host with docker login and pull there",
        retry=True,
    ),
    _rule(
        r"pull access denied|requested access to the resource is denied|unauthorized|authentication required",
        FailureClass.IMAGE_PULL,
        "check the image name; when it is private, pull it on the host after docker login",
    ),
    _rule(
        r"manifest unknown|manifest for .* not found|name unknown|repository .* not found|does not match the specified",
        FailureClass.IMAGE_PULL,
        "the registry has no such tag or digest; see the images of the catalog",
    ),
    _rule(
        r"dial tcp|no such host|TLS handshake|i/o timeout|proxyconnect|context deadline exceeded|Client\.Timeout"
        r"|connection refused.*registry|temporary failure in name resolution|net/http: request canceled|unexpected EOF",
        FailureClass.IMAGE_PULL,
        "the host cannot reach the registry; check its network and proxy, or load the image there with docker load",
        retry=True,
    ),
    _rule(
        r"no such image|image not known|unable to find image",
        FailureClass.IMAGE_MISSING,
        "fetch the image first",
        kind=ImageAbsent,
    ),
    _rule(
        r"no such container|no container with (name or )?id",
        FailureClass.LOST,
        "it was removed by somebody else, or never made",
        kind=ContainerAbsent,
    ),
    _rule(r"port is already allocated|address already in use", FailureClass.PORT_IN_USE, "stop what holds the port"),
    _rule(
        r"cannot allocate memory",
        FailureClass.OUT_OF_MEMORY_HOST,
        "free memory on the host",
    ),
    _rule(
        r"permission denied.*docker|docker.*permission denied|a password is required|password for",
        FailureClass.DOCKER,
        "put the login user into the group docker on the host, or allow sudo for docker in the fleet file",
    ),
    _rule(
        r"cannot connect to the docker daemon|is the docker daemon running",
        FailureClass.DOCKER,
        "start the engine on the host (systemctl start docker)",
        retry=True,
    ),
    _rule(
        r"error setting rlimit|rlimits?.*operation not permitted",
        FailureClass.DOCKER,
        "the engine may not raise limits; a rootless engine needs them set for its service",
    ),
    _rule(
        r'exec: \\?"/bin/sh',
        FailureClass.DOCKER,
        "the image has no /bin/sh, which the entry of every container needs",
    ),
)


def classify(host: str, text: str, status: int | None = None, *, pulling: bool = False) -> EngineError:
    """The error for what an engine (or a registry behind it) said. While `pulling`, the unknown is a pull error."""
    for rule in _RULES:
        if rule.pattern.search(text):
            return rule.kind(host, text, rule.remedy, status, failure=rule.failure, retry=rule.retry)
    failure = FailureClass.IMAGE_PULL if pulling else FailureClass.DOCKER
    return EngineError(host, text or f"the engine answered {status}", "", status, failure=failure)
