"""Several looks at an engine on one channel, one after the other: a survey asks many small things of every host."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import h11
import msgspec

from console.fleet.engine.dial import Dial
from console.fleet.engine.errors import EngineError, StreamLost, classify
from console.fleet.engine.wire import HEAD_TIMEOUT_S, Answer, message_of, silent
from console.fleet.link import ByteStream

ANSWER_LIMIT = 32 << 20
"""No answer of an engine to a survey is near as long; one that is, is not believed."""
_HEADERS = (("Host", "docker"), ("User-Agent", "instinct-console"))


class Asking:
    """GETs over a channel that is kept between them. Close it (`aclosing`). One request at a time.

    An engine may close the channel after any answer: then the next request has a new one. A request on a kept channel
    that breaks is asked once more, which GETs allow.
    """

    def __init__(self, dial: Dial, timeout_s: float = HEAD_TIMEOUT_S) -> None:
        self._dial, self._timeout_s = dial, timeout_s
        self._stream: ByteStream | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def table(self, target: str) -> Mapping[str, Any]:
        """The JSON object the engine answers with. Raises EngineError, StreamLost when it breaks off, LinkError."""
        found = await self._whole(target)
        if not isinstance(found, dict):
            raise EngineError(self._dial.host, f"the engine's answer to {target} is no object")
        return found

    async def rows(self, target: str) -> Sequence[Mapping[str, Any]]:
        """The JSON list of objects the engine answers with, none for `null`; raises as `table`."""
        found = await self._whole(target)
        if found is not None and not (isinstance(found, list) and all(isinstance(item, dict) for item in found)):
            raise EngineError(self._dial.host, f"the engine's answer to {target} is no list")
        return found or ()

    async def _whole(self, target: str) -> Any:
        if self._stream is None:
            return await self._get(target)
        try:
            return await self._get(target)
        except StreamLost:
            self._close()
            return await self._get(target)

    async def aclose(self) -> None:
        """Close the channel."""
        self._close()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    async def _get(self, target: str) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(target)
        except TimeoutError:
            self._close()
            raise silent(self._dial, self._timeout_s) from None

    async def _ask(self, target: str) -> Any:
        if self._stream is None:
            self._stream, self._http = await self._dial.open(), h11.Connection(h11.CLIENT)
        answer = Answer(self._dial.host, *self._stream, self._http)
        try:
            await answer.send("GET", target, _HEADERS, b"")
            said = bytearray()
            async for piece in answer.pieces():
                said += piece
                if len(said) > ANSWER_LIMIT:
                    raise EngineError(self._dial.host, f"the engine's answer to {target} does not end")
        except BaseException:  # whatever it was, the channel is in the middle of something
            self._close()
            raise
        self._turn_over()
        if answer.status >= 400:
            raise classify(self._dial.host, message_of(said.decode("utf-8", "replace")), answer.status)
        try:
            return msgspec.json.decode(said)
        except msgspec.DecodeError as error:
            raise EngineError(self._dial.host, f"the engine's answer to {target} is no JSON: {error}") from None

    def _turn_over(self) -> None:
        """Keep the channel for the next request, where the engine does."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._close()
