"""What a gate looks at, and how it says what it found."""

from collections.abc import Callable, Iterable

import msgspec

from console.model.facts import Gpu, HostFacts, Unknown, value_or
from console.model.finding import Effect, Finding, State
from console.model.launch import Need
from console.model.profile import GpuSpec, ModelCard, ServerProfile
from console.model.text import clean_line, some


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One host held against one need. `matrix` only makes remedies exact; `image_ref` is what the host would run."""

    need: Need
    facts: HostFacts
    server: ServerProfile | None
    gpu: GpuSpec | None
    model: ModelCard
    image_ref: str
    matrix: str = ""

    @property
    def host(self) -> str:
        """Name of the host."""
        return self.facts.host

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that are known; none when their number is unknown."""
        return value_or(self.facts.gpus, ())

    @property
    def fetch(self) -> str:
        """The command that brings image and model."""
        return f"instinct fetch {self.matrix or 'MATRIX'} --hosts {self.host}"

    def passed(self, check: str, seen: str, evidence: str = "") -> Finding:
        """It is as it should be."""
        return Finding(check=check, host=self.host, state=State.PASS, seen=_text(seen), evidence=_text(evidence))

    def failed(
        self,
        check: str,
        effect: Effect,
        seen: str,
        *,
        expected: str,
        source: str,
        remedy: str,
        evidence: str = "",
        state: State | None = None,
    ) -> Finding:
        """It is not: a failure where it blocks or spoils, a warning where it is only noted, unless said otherwise."""
        return Finding(
            check=check,
            host=self.host,
            state=state or (State.WARN if effect is Effect.NOTE else State.FAIL),
            seen=_text(seen),
            expected=_text(expected),
            source=source,
            evidence=_text(evidence),
            remedy=remedy,
            effect=effect,
        )

    def unknown(self, check: str, effect: Effect, what: str, fact: Unknown, *, expected: str, source: str) -> Finding:
        """It could not be read; the remedy is the command that would show it."""
        why = f"{fact.why}: {fact.detail}" if fact.detail else fact.why
        return Finding(
            check=check,
            host=self.host,
            state=State.UNKNOWN,
            seen=_text(f"{what} is not known ({why})"),
            expected=_text(expected),
            source=source,
            evidence=_text(why),
            remedy=" ".join(fact.show) if fact.show else f"instinct status {self.host} --wide",
            effect=effect,
        )


Gate = Callable[[Ask], Iterable[Finding]]


def grouped(gpus: Iterable[Gpu]) -> str:
    """PCI addresses for people, the first four and how many more."""
    return some(gpu.bdf for gpu in gpus)


def _text(text: str) -> str:
    """Facts carry text from a host; what goes into a finding may be shown."""
    return clean_line(text, 600)
