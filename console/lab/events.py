"""The engine's events: the last 256 are kept, as the daemon keeps them, and everyone who listens hears new ones."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from console.lab.clock import Clock

KEPT = 256


class Events:
    """The event stream of one host's engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._past: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()

    def emit(self, kind: str, action: str, identity: str, attributes: dict[str, str]) -> None:
        """Record and hand on one event."""
        at = self._clock.stamp()
        event: dict[str, Any] = {
            "status": action,
            "id": identity,
            "Type": kind,
            "Action": action,
            "Actor": {"ID": identity, "Attributes": attributes},
            "scope": "local",
            "time": at // 1_000_000_000,
            "timeNano": at,
        }
        if kind == "container":
            event["from"] = attributes.get("image", "")
        self._past.append(event)
        for queue in self._listeners:
            queue.put_nowait(event)

    async def stream(self, filters: dict[str, list[str]], since: int | None, until: int | None) -> AsyncIterator[bytes]:
        """Matching events as JSON lines: kept ones from `since` on (inclusive), then new ones up to `until`."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            for event in list(self._past) if since is not None else ():
                at = event["timeNano"]
                if at >= (since or 0) and (until is None or at <= until) and matches(event, filters):
                    yield _line(event)
            while True:
                left = None if until is None else (until - time.time_ns()) / 1e9
                if left is not None and left <= 0:
                    return
                try:
                    event = await asyncio.wait_for(queue.get(), left)
                except TimeoutError:
                    return
                if matches(event, filters):
                    yield _line(event)
        finally:
            self._listeners.discard(queue)


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def matches(event: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    """Docker's filters: any value of one key, all keys."""
    actor = event["Actor"]
    attributes = actor["Attributes"]
    for key, values in filters.items():
        if key == "type":
            fits = event["Type"] in values
        elif key == "event":
            fits = any(event["Action"].split(":")[0] == value for value in values)
        elif key == "container":
            name = attributes.get("name", "")
            fits = event["Type"] == "container" and any(v == name or actor["ID"].startswith(v) for v in values)
        elif key == "image":
            fits = any(value in (attributes.get("image"), actor["ID"]) for value in values)
        elif key == "label":
            fits = all(has_label(attributes, value) for value in values)
        else:
            fits = True
        if not fits:
            return False
    return True


def has_label(labels: dict[str, str], wanted: str) -> bool:
    """`key` or `key=value`."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
