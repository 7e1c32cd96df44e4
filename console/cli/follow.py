"""Following a run from the journal, and conducting one in the foreground while following it."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator

from console.cli.live import REDRAW_S, Display
from console.desk import desk, feeds, history, launching
from console.desk.board import Board
from console.desk.settings import Settings
from console.desk.surveying import DockerSite

Handlers = dict[signal.Signals, Callable[[], object]]

LEFT = (
    "left {run}: its containers run on, each to its own deadline; `instinct run --resume {run}` carries on, "
    "`instinct stop {run}` ends it"
)
STOPPING = "stopping {run}: what runs is ended and collected; interrupt again to leave now, the containers then run on"


async def follow(settings: Settings, run: str, display: Display) -> None:
    """Show a run until it is closed."""
    board = Board()

    async def redraw() -> None:
        while True:
            display.tick(board, time.time_ns())
            await asyncio.sleep(REDRAW_S)

    with desk.tail(settings) as tail:
        drawing = asyncio.create_task(redraw())
        try:
            async for batch in feeds.follow(tail, run):
                display.changed(board, board.apply(batch))
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing


async def replay(settings: Settings, run: str, display: Display, speed: float) -> None:
    """Show what is in the journal of a run in its original order, `speed` times faster."""
    board = Board()
    with desk.tail(settings) as tail:
        async for batch in feeds.replay(tail, run, speed):
            display.changed(board, board.apply(batch))


async def watch(settings: Settings, run: str, display: Display) -> bool:
    """Show a run until it is closed (True), or nobody conducts it any more (False)."""
    following = asyncio.create_task(follow(settings, run, display))
    while not following.done():
        await asyncio.wait([following], timeout=1.0)
        if not following.done() and not history.is_conducted(settings, run):
            # The conductor closes the run before it lets go of it, so a look after that is the last word.
            if history.find_run(settings, run).closed_at_ns is not None:
                break
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            return False
    await following
    return True


async def conduct(settings: Settings, run: str, display: Display, site: DockerSite | None = None) -> bool:
    """Conduct a run and show it; True when it came to its end, False when this process left it.

    The first interrupt asks the run to stop and waits for that; a second one, a hang-up or a termination leaves it:
    its containers run on, and `--resume` carries on.
    """
    conducting = asyncio.create_task(launching.conduct(settings, run, site=site))
    following = asyncio.create_task(follow(settings, run, display))
    asks: set[asyncio.Task[bool]] = set()

    def interrupt() -> None:
        if asks:
            conducting.cancel()
            return
        display.note(STOPPING.format(run=run))
        asks.add(asyncio.create_task(history.ask_stop(settings, run, "interrupted")))

    try:
        with _handling({signal.SIGINT: interrupt, signal.SIGTERM: conducting.cancel, signal.SIGHUP: conducting.cancel}):
            await asyncio.wait([conducting])
        if conducting.cancelled():
            return False
        conducting.result()
        await following  # it ends by itself: the run is closed
        return True
    finally:
        following.cancel()
        await asyncio.gather(following, *asks, return_exceptions=True)


async def conduct_unseen(settings: Settings, run: str) -> bool:
    """Conduct a run without a terminal: hang-ups mean nothing; a termination leaves the run. True at its end."""
    conducting = asyncio.create_task(launching.conduct(settings, run))
    handlers: Handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM), conducting.cancel)
    handlers[signal.SIGHUP] = lambda: None
    with _handling(handlers):
        await asyncio.wait([conducting])
    if conducting.cancelled():
        return False
    conducting.result()
    return True


@contextlib.contextmanager
def tidied_up() -> Iterator[None]:
    """A termination or a hang-up ends the block as an interrupt does, so that what it made goes with it."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # once is enough: the second would cut the tidying short
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def tidied_up_waiting() -> Iterator[None]:
    """As `tidied_up`, inside a loop: it ends where it waits, never in the middle of a step or of starting a thread."""
    task, told = asyncio.current_task(), []

    def end() -> None:
        told.append(True)
        if task is not None:
            task.cancel()

    try:
        with _handling({signal.SIGTERM: end, signal.SIGHUP: end}):
            yield
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise


@contextlib.contextmanager
def _handling(handlers: Handlers) -> Iterator[None]:
    """Signals go to these handlers, then again to whom they went before. What `nohup` ignores stays ignored."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in handlers}
    taken = [number for number in handlers if number != signal.SIGHUP or before[number] != signal.SIG_IGN]
    for number in taken:
        loop.add_signal_handler(number, handlers[number])
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
