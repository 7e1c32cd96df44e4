"""How many sessions one connection may have open: ours, or what the server turns out to allow."""

import asyncio


class Slots:
    """Counts sessions of one connection. A server that refuses one while others are open has told its limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._changed = asyncio.Condition()

    async def take(self) -> None:
        """Wait for a free place and take it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.open < self.limit)
            self.open += 1

    async def give_back(self) -> None:
        """Free a place."""
        async with self._changed:
            self.open -= 1
            self._changed.notify_all()

    async def refused(self) -> bool:
        """Free a place the server did not grant; True when waiting for another session to end may help."""
        async with self._changed:
            self.open -= 1
            if self.open > 0:
                self.limit = min(self.limit, self.open)
            self._changed.notify_all()
            return self.open > 0
