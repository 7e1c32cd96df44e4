"""The views of the Host screen that are lists: findings, facts, GPUs, kernel log, work."""

from collections.abc import Mapping, Sequence

from console.desk import status
from console.desk.expectations import agreement, text
from console.health.kernel_log import Fault
from console.health.report import check_of
from console.health.rules.kernel import resting
from console.model.finding import Ack, Finding
from console.tui.remedies import command
from console.tui.screens.host import facts as host_facts
from console.tui.screens.host import findings as host_findings
from console.tui.screens.host import gpus as host_gpus
from console.tui.screens.host import kernel as host_kernel
from console.tui.screens.host import work as host_work
from console.tui.screens.host.facts import Entry
from console.tui.screens.host.listing import Copied, Listing
from console.tui.screens.host.subject import Subject
from console.tui.widgets.grid import Grid, Row
from console.tui.widgets.lines import Lines, Para
from console.tui.widgets.topology import devices, picture


class FindingsPane(Listing):
    """Findings, the gravest first."""

    COLUMNS = host_findings.COLUMNS

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._found: dict[str, Finding] = {}

    def basis(self, subject: Subject) -> object:
        """The verdict and the filter."""
        return id(subject.health), subject.words, subject.only_bad, subject.why_empty

    def rows(self, subject: Subject) -> Sequence[Row]:
        """One for each finding."""
        self._found = host_findings.keyed(subject.health, only_bad=subject.only_bad, words=subject.words)
        return host_findings.rows(self._found)

    def why_empty(self, subject: Subject) -> str:
        """No verdict yet, or nothing left by the filter."""
        if subject.health is None:
            return subject.why_empty or f"{subject.name} answered; its facts are being held against its profile …"
        return "Nothing that counts was found." if subject.only_bad and not subject.words else "No finding matches."

    def detail(self, subject: Subject, key: str) -> Sequence[Para]:
        """The finding, and what its check is about."""
        item = self._found.get(key)
        if item is None:
            return ()
        check = check_of(item)
        return host_findings.detail(item, check.explain if check else "", check.detail if check else "")

    def current(self) -> Finding | None:
        """The finding under the cursor."""
        return self._found.get(self.grid.current or "")

    def copied(self) -> Copied | None:
        """The remedy."""
        item = self.current()
        if item is None or not item.remedy:
            return None
        return command(item.remedy, item.host), f"the remedy of {item.check}"

    def copied_all(self) -> Copied | None:
        """The findings that are shown."""
        if self.subject is None:
            return None
        found = tuple(self._found.values())
        made = host_findings.markdown(found, self.subject.name, simulated=self.subject.simulated)
        return made, f"{len(found)} findings as Markdown"


class FactsPane(Listing):
    """Facts by area beside what they should be."""

    COLUMNS = host_facts.COLUMNS

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._found: dict[str, Entry] = {}

    def basis(self, subject: Subject) -> object:
        """The look, what is expected, the filter."""
        return id(subject.facts), id(subject.expected), subject.words, subject.only_bad, subject.why_empty

    def rows(self, subject: Subject) -> Sequence[Row]:
        """One for each fact, under headings."""
        facts = subject.facts
        if facts is None:
            self._found = {}
            return ()
        self._found = host_facts.entries(
            facts,
            subject.expected.facts if subject.expected is not None else {},
            lambda expected: agreement(facts, expected),
            only_different=subject.only_bad,
            words=subject.words,
        )
        return host_facts.rows(self._found, text)

    def why_empty(self, subject: Subject) -> str:
        """No look yet, or nothing left by the filter."""
        if subject.why_empty:
            return subject.why_empty
        if subject.only_bad and not subject.words:
            server = subject.expected.server if subject.expected is not None else ""
            return f"Every fact that {server or 'something'} speaks of is as it should be."
        return "No fact matches."

    def detail(self, subject: Subject, key: str) -> Sequence[Para]:
        """The fact in full."""
        item = self._found.get(key)
        server = subject.expected.server if subject.expected is not None else ""
        return host_facts.detail(item, text, server) if item is not None else host_facts.area(self._found, key, text)

    def copied(self) -> Copied | None:
        """The command that would show an unknown fact, else its value."""
        item = self._found.get(self.grid.current or "")
        if item is None:
            return None
        shows = [" ".join(value.show) for _, value in item.fact.values if not hasattr(value, "value") and value.show]
        if shows:
            return shows[0], f"the command that shows {item.fact.path}"
        return host_facts.summary(item.fact), item.fact.path

    def copied_all(self) -> Copied | None:
        """The facts that are shown."""
        if self.subject is None:
            return None
        note = " (simulated)" if self.subject.simulated else ""
        made = host_facts.markdown(self._found, text, title=f"Facts of {self.subject.name}{note}:")
        return made, f"{len(self._found)} facts as Markdown"


class GpusPane(Listing):
    """The GPUs live, and a picture of the server."""

    COLUMNS = host_gpus.COLUMNS

    @property
    def beside(self) -> bool:
        """The table needs all the width there is."""
        return False

    def rows(self, subject: Subject) -> Sequence[Row]:
        """Each device and its partitions."""
        facts = subject.facts
        parts = status.gpu_rows(facts) if facts is not None else ()
        homes: Mapping[str, str] = {}
        if facts is not None:
            homes = {part.bdf: device.bdf for device in devices(facts) for part in device.parts}
        old = subject.view.state in ("no answer", "stale")
        return host_gpus.rows(subject.view.gpus, parts, homes, old=old)

    def why_empty(self, subject: Subject) -> str:
        """No GPU, or no look yet."""
        return subject.why_empty or "No GPU is driven by amdgpu on this host."

    def draw_detail(self, *, top: bool = False) -> None:
        """The picture does not depend on the cursor."""
        subject, pane = self.subject, self.query_one(Lines)
        if subject is None or subject.facts is None or not pane.size.width:
            pane.show((), top=top)
            return
        pane.show(picture(subject.facts, subject.view.gpus, pane.size.width - 1), top=top)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Nothing to draw."""

    def copied(self) -> Copied | None:
        """The address of the GPU."""
        key = self.grid.current
        return (key, "the PCI address") if key is not None else None

    def copied_all(self) -> Copied | None:
        """The picture."""
        made = self.query_one(Lines).text
        return (made, "the picture of the server") if made else None


class KernelPane(Listing):
    """Faults of the kernel log."""

    COLUMNS = host_kernel.COLUMNS

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._faults = host_kernel.Faults()
        self._read_from: object = None

    def rows(self, subject: Subject) -> Sequence[Row]:
        """Faults; the log is read again only after another look."""
        if subject.facts is not self._read_from or subject.facts is None:
            self._read_from = subject.facts
            self._faults = host_kernel.read(subject.facts)
        if subject.facts is None:
            return ()
        return host_kernel.rows(self._faults, subject.facts, subject.acks, subject.host_now_ns)

    def why_empty(self, subject: Subject) -> str:
        """A clean log, or one that could not be read."""
        return host_kernel.why_none(subject.facts)

    def current(self) -> Fault | None:
        """The fault under the cursor."""
        key = self.grid.current
        return next((fault for fault in self._faults.faults if fault.key == key), None)

    def resting(self, fault: Fault) -> Ack | None:
        """The acknowledgement that covers a fault."""
        subject = self.subject
        return (
            resting(subject.facts, fault, subject.acks) if subject is not None and subject.facts is not None else None
        )

    def detail(self, subject: Subject, key: str) -> Sequence[Para]:
        """The fault and its lines."""
        fault = next((fault for fault in self._faults.faults if fault.key == key), None)
        if fault is None:
            return ()
        lines = self._faults.lines.get(fault.key, ())
        return host_kernel.detail(fault, subject.name, lines, self.resting(fault), "x")

    def copied(self) -> Copied | None:
        """The remedy."""
        fault = self.current()
        if fault is None or self.subject is None:
            return None
        return command(host_kernel.remedy(fault), self.subject.name), f"the remedy of {fault.rule.id}"

    def copied_all(self) -> Copied | None:
        """The lines of the fault."""
        fault = self.current()
        if fault is None:
            return None
        lines = [line.raw or line.text for line in self._faults.lines.get(fault.key, ())]
        return "\n".join(lines) + "\n", f"{len(lines)} lines of the kernel log"


class WorkPane(Listing):
    """What runs there."""

    COLUMNS = host_work.COLUMNS

    def rows(self, subject: Subject) -> Sequence[Row]:
        """Attempts, containers and processes of others, attempts of before."""
        return host_work.rows(subject.active, subject.ended, subject.facts, subject.now_ns)

    def why_empty(self, subject: Subject) -> str:
        """Nothing runs, or it is not known."""
        return host_work.why_none(subject.facts)

    def detail(self, subject: Subject, key: str) -> Sequence[Para]:
        """One of them in full."""
        return host_work.detail(key, subject.active, subject.ended, subject.facts)

    def attempt(self) -> str | None:
        """The attempt under the cursor."""
        return host_work.attempt_of(self.grid.current or "")
