"""Letting a fault of the kernel log rest: a reason, a question, and the entry among the acknowledgements."""

from collections.abc import Callable

from console.health.kernel_log import Fault
from console.health.rules.kernel import mark_of
from console.model.facts import HostFacts
from console.model.finding import Ack
from console.tui.dialogs import AskText, Confirm
from console.tui.link import Answer
from console.tui.screens.base import ConsoleScreen
from console.tui.words import utc

Then = Callable[[str], None]


def ask(screen: ConsoleScreen, facts: HostFacts, fault: Fault, ack: Ack | None, then: Then) -> None:
    """`then` is called with what was done, in words; never when the person changed their mind.

    With an acknowledgement that covers the fault the question is whether to take it back.
    """
    host = facts.host
    if ack is not None:
        _take_back(screen, ack, then)
        return
    last = fault.newest_ns
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
                _add(screen, facts, fault, reason.strip(), then)

        screen.app.push_screen(Confirm(f"Let {fault.rule.id} of {host} rest?", detail, yes="let it rest"), sure)

    question = f"Why may {fault.rule.id} of {host} rest?"
    screen.app.push_screen(AskText(question, placeholder="what was done about it, a ticket"), reasoned)


def key_of(rule: str, bdf: str, mark: str) -> str:
    """What names an acknowledgement: `class@address#mark`, as far as there is one."""
    return f"{rule}{f'@{bdf}' if bdf else ''}{f'#{mark}' if mark else ''}"


def _add(screen: ConsoleScreen, facts: HostFacts, fault: Fault, reason: str, then: Then) -> None:
    settings, host = screen.link.settings, facts.host
    key = key_of(fault.rule.id, fault.bdf, mark_of(facts, fault))
    until_ns = max(screen.world.clock(), fault.newest_ns or 0)

    def acknowledge() -> Ack:
        from console.desk import acks

        return acks.add(settings, host, key, reason, until_ns)

    screen.link.work(acknowledge, _told(screen, f"{fault.rule.id} of {host} rests until it happens again", then))


def _take_back(screen: ConsoleScreen, ack: Ack, then: Then) -> None:
    settings = screen.link.settings

    def take_back() -> bool:
        from console.desk import acks

        return acks.remove(settings, ack.host, key_of(ack.rule, ack.bdf, ack.mark))

    def sure(yes: bool | None) -> None:
        if yes:
            screen.link.work(take_back, _told(screen, f"{ack.rule} of {ack.host} counts again", then))

    detail = "It is then a finding again, and counts in the health of the host."
    screen.app.push_screen(Confirm(f"Let {ack.rule} of {ack.host} count again?", detail, yes="count it"), sure)


def _told(screen: ConsoleScreen, said: str, then: Then) -> Callable[[Answer], None]:
    def told(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
        else:
            then(said)

    return told
