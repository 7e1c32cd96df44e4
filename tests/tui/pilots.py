"""What a test of the screens waits for: never for a time that ought to be enough, always for the thing itself.

Textual's own `pilot.pause()` and `pilot.press()` go on when this process has used little of the processor for 20 ms,
which on a busy machine is long before the screens have done their work. `wait_until_idle` takes the place of that.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual._context import active_app
from textual.app import App
from textual.message_pump import MessagePump
from textual.pilot import Pilot

from console.tui.app import Console
from console.tui.widgets.grid import Grid, text_of

PATIENCE_S = 90.0
STILL_TURNS = 12
"""A key comes to the screens over several turns of the loop; idle is who was so for more."""


def _at_work(pump: MessagePump) -> bool:
    """It does not stand and wait for its next message."""
    if not pump.is_running:
        return False
    ready: Any = pump._message_queue.ready_event
    waits = bool(ready._waiters) and not ready.is_set()
    return not waits or bool(pump._next_callbacks or pump._pending_message)


def _busy(app: App[Any]) -> bool:
    screen = app.screen
    screen._on_timer_update()  # paints, and lets those go on who wait for that
    link = app.link if isinstance(app, Console) else None
    asked = getattr(link, "answering", bool)()
    resizing = app._resize_event is not None or app._resize_timer is not None
    return asked or resizing or bool(screen._callbacks) or any(map(_at_work, (app, *app._registry)))


async def wait_until_idle(min_sleep: float = 0.0, max_sleep: float = 0.0) -> None:
    """Every message is handled, everything asked for is answered, and all of it is painted.

    Has the arguments of what it takes the place of, which are times and mean nothing here.
    """
    app = active_app.get()
    still, end = 0, time.monotonic() + PATIENCE_S
    while still < STILL_TURNS:
        await asyncio.sleep(0)
        if not app.is_running or not app.screen_stack or app._exception is not None:
            return
        still = 0 if _busy(app) else still + 1
        assert still or time.monotonic() < end, "the screens never come to rest"


async def drawn(pilot: Pilot[None], *, again: bool = False) -> Console:
    """All that arrived is drawn, and what is asked for in doing so is answered; `again`: as if a second had passed."""
    app = pilot.app
    assert isinstance(app, Console)
    for _ in range(3):
        await pilot.pause()
        app.draw_news()
        if again:
            app.redraw()
    await pilot.pause()
    return app


async def until(pilot: Pilot[None], holds: Callable[[], Any]) -> None:
    """What a timer or another thread brings has come, and is drawn."""
    app = pilot.app
    assert isinstance(app, Console)
    end = time.monotonic() + PATIENCE_S
    while True:
        app.draw_news()
        await pilot.pause()
        if holds():
            return
        assert time.monotonic() < end, f"it never came about; on the screen:\n{painted(app)}"
        await asyncio.sleep(0.02)


def painted(app: App[Any]) -> str:
    """The screen that is seen, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def messages(app: App[Any]) -> str:
    """What was told in passing."""
    return "\n".join(str(notification.message) for notification in app._notifications)


def cells(grid: Grid) -> list[dict[str, str]]:
    """The rows of a table by the keys of their columns."""
    keys = [column.key for column in grid.columns]
    return [dict(zip(keys, map(text_of, row.cells), strict=True)) for row in grid.rows]
