"""What the Host screen needs and no feed brings: what facts should be, and which faults rest."""

from collections.abc import Callable

from console.desk.expectations import Expected
from console.fleet.host import Fleet
from console.model.facts import HostFacts
from console.model.finding import Ack
from console.tui.link import Answer, Link


class Asks:
    """Answers kept by host; `changed` is called when one has come, `failed` with why none did."""

    def __init__(self, link: Link, changed: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._link = link
        self._changed = changed
        self._failed = failed
        self._expected: dict[str, tuple[HostFacts, Expected | None, str]] = {}
        self.acks: tuple[Ack, ...] = ()

    def expected(self, host: str) -> tuple[Expected | None, str]:
        """What the facts of a host should be, and why that is not known."""
        known = self._expected.get(host)
        return (known[1], known[2]) if known is not None else (None, "")

    def ask_expected(self, fleet: Fleet | None, host: str, facts: HostFacts | None) -> None:
        """Read it, once for every look at the host."""
        known = self._expected.get(host)
        if facts is None or fleet is None or (known is not None and known[0] is facts):
            return
        self._expected[host] = facts, known[1] if known is not None else None, ""
        settings = self._link.settings

        def expectations() -> Expected:
            from console.desk.expectations import of

            return of(settings, fleet, host, facts)

        def told(answer: Answer) -> None:
            self._expected[host] = facts, answer.value, answer.error or ""
            self._changed()

        self._link.work(expectations, told)

    def ask_acks(self) -> None:
        """Read what was acknowledged, here or elsewhere."""
        settings = self._link.settings

        def acknowledged() -> tuple[Ack, ...]:
            from console.desk import acks

            return acks.load(settings)

        def told(answer: Answer) -> None:
            if answer.error is not None:
                self._failed(answer.error)
                return
            self.acks = answer.value
            self._changed()

        self._link.work(acknowledged, told)
