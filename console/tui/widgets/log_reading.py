"""Reading a log for the screen: follows the end, reads on where one scrolls to, searches. No Textual.

Requests run elsewhere (`work`) and nothing waits for them; one is under way at a time, and what belongs to another log
or another wish is dropped.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from console.desk.logs import LogFile, Page
from console.tui.link import Answer
from console.tui.widgets.log_window import LogWindow

FOLLOW_BYTES = 49_152
"""More than a screenful. What came so fast that it was never on the screen is read when one scrolls up to it."""
SLOWEST = 8
"""A log that does not grow is looked at in every eighth turn."""

Work = Callable[[Callable[[], Any], Callable[[Answer], None]], Callable[[], None]]
Until = Callable[[], int | None]


class _News(msgspec.Struct, frozen=True):
    """The log's size; the lines behind those in memory when it is followed, else how many there are."""

    size: int
    page: Page | None
    count: int


class _Found(msgspec.Struct, frozen=True):
    """Where a match was found, the lines around it, and whether the search went around the end of the log."""

    at: int
    page: Page
    around: bool


class LogReading:
    """The way from a log file to a window of it. `changed` is called when there may be something to paint."""

    def __init__(self, work: Work, changed: Callable[[], None]) -> None:
        self.window = LogWindow()
        self.pattern: re.Pattern[str] | None = None
        self.searching = False
        self.said = ""
        """What became of the last search or read, for a person."""
        self._work = work
        self._changed = changed
        self._log: LogFile | None = None
        self._until: Until = lambda: None
        self._drop: Callable[[], None] | None = None
        self._found: int | None = None
        self._quiet = 0
        self._turns = 0

    @property
    def log(self) -> LogFile | None:
        """What is read."""
        return self._log

    def open(self, log: LogFile | None, until: Until) -> None:
        """Another log, from its end."""
        self.drop()
        before, self.window = self.window, LogWindow()
        self.window.fit(before.width, before.height, wrap=before.wrap)
        self._log, self._until = log, until
        self.pattern, self._found, self.said, self._quiet, self._turns = None, None, "", 0, 0
        self.poll()

    def drop(self) -> None:
        """Give up what is under way."""
        if self._drop is not None:
            self._drop()
            self._drop = None
        self.searching = False

    # -- the end as it grows

    def tick(self) -> None:
        """Look for news, less often while there are none."""
        self._turns += 1
        if self._turns >= min(SLOWEST, 1 + self._quiet // 4):
            self._turns = 0
            self.poll()

    def wake(self) -> None:
        """Look often again."""
        self._quiet = 0
        self.poll()

    def poll(self) -> None:
        """Look for news now, unless a request is under way."""
        log, window, until_ns = self._log, self.window, self._until()
        if log is None or self._drop is not None:
            return
        start, follow, size = window.next, window.follow, window.size

        def look_for_news() -> _News:
            now = log.size(until_ns)
            if now < size:  # cut, or a replay that went back
                return _News(now, log.tail(FOLLOW_BYTES, until_ns), 0)
            if not follow:
                return _News(now, None, log.newlines(size, until_ns) if now > size else 0)
            if now - start > FOLLOW_BYTES:
                return _News(now, log.tail(FOLLOW_BYTES, until_ns), 0)
            return _News(now, log.after(start, FOLLOW_BYTES, now), 0)

        self._ask(look_for_news, self._heard)

    def _heard(self, news: _News) -> None:
        window = self.window
        before = window.size, window.end, window.unseen
        if news.page is None:
            window.unseen += news.count
            window.size = max(window.size, news.size)
        elif news.size < window.size or (window.follow and news.page.start != window.next):
            window.show(news.page)
        elif window.follow:
            window.behind(news.page)
        changed = before != (window.size, window.end, window.unseen)
        self._quiet = 0 if changed else self._quiet + 1
        if changed:
            self._changed()

    # -- places

    def scrolled(self) -> None:
        """Read more on the side that the screen came near to."""
        log, window = self._log, self.window
        if log is None or self._drop is not None:
            return
        size = window.size
        if window.wants_before:
            start = window.start
            self._ask(lambda: log.before(start, size=size), self._took(window.before))
        elif window.wants_behind:
            offset = window.next
            self._ask(lambda: log.after(offset, size=size), self._took(window.behind))

    def _took(self, take: Callable[[Page], None]) -> Callable[[Page], None]:
        def told(page: Page) -> None:
            take(page)
            self._changed()
            self.scrolled()

        return told

    def first(self) -> None:
        """To the beginning of the log."""
        log, window = self._log, self.window
        if log is None:
            return
        if window.start == 0:
            window.seek(0)
            self._changed()
            return
        self.drop()
        size = window.size
        self._ask(lambda: log.after(0, size=size), lambda page: self._placed(page, 0))

    def last(self) -> None:
        """To the end, and follow it."""
        log, until_ns = self._log, self._until()
        if log is None:
            return
        self.drop()
        if self.window.to_end():
            self._changed()
        else:
            self._ask(lambda: log.tail(FOLLOW_BYTES, until_ns), lambda page: self._placed(page, None))

    def _placed(self, page: Page, at: int | None) -> None:
        self.window.show(page, at)
        self._changed()
        self.scrolled()

    # -- searching

    def search(self, text: str) -> str | None:
        """Look for a regular expression, upwards when the end is followed, else downwards. Why not, or None.

        Small letters match capitals too. An empty text forgets the search.
        """
        if not text:
            self.end_search()
            return None
        try:
            self.pattern = re.compile(text, re.MULTILINE | (re.IGNORECASE if text == text.lower() else 0))
        except re.error as error:
            return f"{text!r} is no regular expression: {error}"
        self._found = None
        self.search_next(backwards=self.window.follow)
        return None

    def search_next(self, *, backwards: bool) -> None:
        """The next line with a match, or the one before; past the end of the log once around."""
        log, pattern = self._log, self.pattern
        if log is None or pattern is None:
            return
        self.drop()
        offset, until_ns, given_up = self._from(backwards=backwards), self._until(), [False]

        def look() -> _Found | None:
            def find(offset: int) -> int | None:
                return log.find(pattern, offset, backwards=backwards, dropped=lambda: given_up[0], until_ns=until_ns)

            size = log.size(until_ns)
            at = find(offset)
            around = at is None
            if at is None:
                at = find(size if backwards else 0)
            return None if at is None else _Found(at, log.around(at, size=size), around)

        def told(found: _Found | None) -> None:
            self.searching = False
            if found is None:
                self.said = f"no line matches {pattern.pattern}"
            else:
                self._show(found, "from the end again" if backwards else "from the beginning again")
            self._changed()
            self.scrolled()

        self._ask(look, told)
        if (drop := self._drop) is not None:

            def give_up() -> None:
                given_up[0] = True
                drop()

            self._drop, self.searching, self.said = give_up, True, ""
        self._changed()

    def _from(self, *, backwards: bool) -> int:
        """Where to search on: from what was found last while it is on the screen, else from what is."""
        lines = [row.line for row in self.window.rows()]
        here = next((line for line in lines if line.start == self._found), None)
        if here is not None:
            return here.start if backwards else here.end
        if not lines:
            return 0
        return lines[-1].end if backwards else lines[0].start

    def _show(self, found: _Found, around: str) -> None:
        self._found = found.at
        self.said = around if found.around else ""
        if not self.window.seek(found.at):
            self.window.show(found.page, found.at)

    def end_search(self) -> bool:
        """Stop a search that goes on, or forget the last one; False when there was none."""
        going = self.searching
        if going:
            self.drop()
        elif self.pattern is None:
            return False
        self.pattern, self._found, self.said = (self.pattern if going else None), None, ""
        self._changed()
        return True

    def _ask(self, request: Callable[[], Any], then: Callable[[Any], None]) -> None:
        def told(answer: Answer) -> None:
            self._drop, self.searching = None, False
            if answer.error is None:
                then(answer.value)
            elif self.said != answer.error:
                self.said = answer.error
                self._changed()

        self._drop = self._work(request, told)
