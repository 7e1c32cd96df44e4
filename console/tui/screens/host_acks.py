"""Letting a fault of the kernel log rest: a reason, a question, and the entry among the acknowledgements."""

from collections.abc import Callable

from console.health.kernel_log import Fault
from console.model.finding import Ack
from console.tui.dialogs import AskText, Confirm
from console.tui.link import Answer
from console.tui.screens.base import ConsoleScreen
from console.tui.words import utc

Then = Callable[[str], None]


def ask(screen: ConsoleScreen, host: str, fault: Fault, *, rests: bool, then: Then) -> None:
    """`then` is called with what was done, in words; never when the person changed their mind."""
    if rests:
        _take_back(screen, host, fault, then)
        return
    last = fault.last.at_ns
    upto = f"up to {utc(last)}" if last is not None else "up to now"

    def reasoned(reason: str | None) -> None:
        if reason is None:
            return
        if not reason.strip():
            screen.app.say("nothing was acknowledged: it needs a reason", error=True)
            return
        often = "Once" if fault.count == 1 else f"{fault.count} times"
        detail = (
            f"{often} on {fault.bdf or 'this host'}, {upto}.\nReason: {reason.strip()}\n"
            "What comes later is a finding again. The health check of every front leaves it out until then."
        )

        def sure(yes: bool | None) -> None:
            if yes:
                _add(screen, host, fault, reason.strip(), then)

        screen.app.push_screen(Confirm(f"Let {fault.rule.id} of {host} rest?", detail, yes="let it rest"), sure)

    question = f"Why may {fault.rule.id} of {host} rest?"
    screen.app.push_screen(AskText(question, placeholder="what was done about it, a ticket"), reasoned)


def _add(screen: ConsoleScreen, host: str, fault: Fault, reason: str, then: Then) -> None:
    settings, at_ns = screen.link.settings, fault.last.at_ns
    until_ns = max(screen.world.clock(), at_ns or 0)

    def acknowledge() -> Ack:
        from console.desk import acks

        return acks.add(settings, host, fault.key, reason, until_ns)

    screen.link.work(acknowledge, _told(screen, f"{fault.rule.id} of {host} rests until it happens again", then))


def _take_back(screen: ConsoleScreen, host: str, fault: Fault, then: Then) -> None:
    settings = screen.link.settings

    def take_back() -> bool:
        from console.desk import acks

        one = acks.remove(settings, host, fault.key)
        return acks.remove(settings, host, fault.rule.id) or one

    def sure(yes: bool | None) -> None:
        if yes:
            screen.link.work(take_back, _told(screen, f"{fault.rule.id} of {host} counts again", then))

    detail = "It is then a finding again, and counts in the health of the host."
    screen.app.push_screen(Confirm(f"Let {fault.rule.id} of {host} count again?", detail, yes="count it"), sure)


def _told(screen: ConsoleScreen, said: str, then: Then) -> Callable[[Answer], None]:
    def told(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
        else:
            then(said)

    return told
