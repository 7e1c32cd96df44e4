"""The rules of the health check, one module per kind; importing this package registers them."""

from console.health.rules import (  # noqa: I001 - the order in which findings are shown
    settings,
    host,
    gpus,
    links,
    errors,
    power,
    use,
    kernel,
    places,
    network,
    peers,
    profile,
)

__all__ = [
    "errors",
    "gpus",
    "host",
    "kernel",
    "links",
    "network",
    "peers",
    "places",
    "power",
    "profile",
    "settings",
    "use",
]
