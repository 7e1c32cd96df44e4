"""What went wrong, root cause first.

The earliest line with a known root-cause signature names the failure; else the first exception that does not merely
echo another; else what the exit code says. Lines logged as INFO are never errors, WARNING lines never end a run.
"""

import re
from collections.abc import Iterator

from console.model.attempt import Failure, FailureClass, Symptom
from console.model.text import safe_line
from console.workloads.lines import Line
from console.workloads.log_prefix import take_apart
from console.workloads.signature import Signature
from console.workloads.signatures import SECONDARY_EXCEPTIONS, SIGNATURES, WHOLE_LINE_EXCEPTIONS

_OTHERS = 8
_ENDED_BY_US = frozenset({124, 130, 137, 143})
_SYMPTOMS = 64
_EMBEDDED = re.compile(r"\) (?:ERROR|CRITICAL) \d\d-\d\d |Traceback \(most recent call last\):")
_HINTS = ("Error", "Exception", "Interrupt", "SystemExit", "StopIteration", "Timeout", "Empty", "Again")
_PYTHON_REMEDY = "read the lines above it in the log"
_CODES = {
    78: (FailureClass.SETUP, "could not be set up", "read the last lines of the log"),
    124: (FailureClass.DEADLINE, "ended by its deadline", "look at the log for where it stood; raise the deadline"),
    127: (FailureClass.DEPRECATED_ENTRY, "the program is not in this image", "choose the entry the image has"),
    130: (FailureClass.STOPPED, "interrupted", ""),
    134: (FailureClass.UNKNOWN, "aborted", "look at the host's kernel log for amdgpu faults"),
    135: (FailureClass.SHARED_MEMORY, "bus error", "start the container with --ipc=host or a larger --shm-size"),
    137: (FailureClass.KILLED, "killed", "look at the host's memory and at who ended the container"),
    139: (FailureClass.UNKNOWN, "segmentation fault", "look at the host's kernel log"),
    143: (FailureClass.STOPPED, "ended on request", ""),
    2: (
        FailureClass.WRONG_FLAG,
        "refused its arguments",
        "compare the arguments with what the program in this image knows",
    ),
}


class FailureScan:
    """Collects symptoms line by line; a signature or exception is reported once."""

    def __init__(self) -> None:
        self._known: list[Symptom] = []
        self._exceptions: list[Symptom] = []
        self._secondary: list[Symptom] = []
        self._seen: set[str] = set()
        self._ignored: set[int] = set()
        self.warnings: list[Symptom] = []

    def look(self, line: Line) -> Symptom | None:
        """The symptom in a line, the first time it is met."""
        prefixed = take_apart(line.text)
        level, message = prefixed.level, prefixed.message
        if level in ("INFO", "DEBUG"):
            glued = _EMBEDDED.search(message)
            if glued is None:
                return None
            prefixed = take_apart(message[glued.start() :].lstrip(") "))
            level, message = prefixed.level, prefixed.message
        if self._is_noise(line, message):
            return None
        symptom = self._signature(line, message, level) or self._exception(line, message, level)
        if symptom is None or symptom.signature in self._seen or len(self._seen) >= _SYMPTOMS:
            return None
        self._seen.add(symptom.signature)
        self._file(symptom)
        return symptom

    def root(self, *, known_only: bool = False) -> Failure | None:
        """The root cause with the other errors behind it, or None when the log shows no error.

        `known_only` is for a program that was killed: what it cried then is not why it ended.
        """
        order = [*self._known, *self._exceptions, *self._secondary]
        if not order or (known_only and not self._known):
            return None
        first = order[0]
        others = tuple(symptom.line for symptom in order[1 : _OTHERS + 1] if symptom.line != first.line)
        return Failure(
            failure=first.failure,
            line=first.line,
            remedy=first.remedy,
            others=others,
            at_ns=first.at_ns or None,
            echo=first.secondary,
        )

    def _is_noise(self, line: Line, message: str) -> bool:
        """Source lines of a traceback, RCCL's INFO, and exceptions Python ignored while shutting down."""
        if message.startswith(("    ", '  File "')) or "NCCL INFO" in message:
            return True
        if "Exception ignored in" in message:
            self._ignored.add(line.stream)
            return True
        if line.stream in self._ignored:
            if message.startswith((" ", "Traceback")):
                return True
            self._ignored.discard(line.stream)
            return WHOLE_LINE_EXCEPTIONS.match(message) is not None
        return False

    def _file(self, symptom: Symptom) -> None:
        if symptom.warning:
            self.warnings.append(symptom)
        elif symptom.secondary:
            self._secondary.append(symptom)
        elif symptom.signature.startswith("exception "):
            self._exceptions.append(symptom)
        else:
            self._known.append(symptom)

    def _signature(self, line: Line, message: str, level: str | None) -> Symptom | None:
        signature = match_signature(message)
        if signature is None:
            return None
        return Symptom(
            at_ns=line.at_ns,
            signature=signature.id,
            failure=signature.failure,
            line=safe_line(message),
            remedy=signature.remedy,
            secondary=signature.secondary,
            warning=signature.warning or level == "WARNING",
        )

    def _exception(self, line: Line, message: str, level: str | None) -> Symptom | None:
        if level == "WARNING":
            return None
        text = message.strip()
        if text.startswith("Value error, "):  # pydantic writes the cause under its own exception's name
            return self._python(line, "Value error", text.removeprefix("Value error, "))
        if not message or message[0].isspace() or not any(hint in message for hint in _HINTS):
            return None
        match = WHOLE_LINE_EXCEPTIONS.match(message)
        if match is None:
            return None
        return self._python(line, match[1].rpartition(".")[2], message)

    def _python(self, line: Line, name: str, text: str) -> Symptom:
        return Symptom(
            at_ns=line.at_ns,
            signature=f"exception {name}",
            failure=FailureClass.PYTHON_ERROR,
            line=safe_line(text),
            remedy=_PYTHON_REMEDY,
            secondary=name in SECONDARY_EXCEPTIONS,
        )


def match_signature(message: str) -> Signature | None:
    """The first signature of the table that a message carries."""
    for signature, needle in _NEEDLES:
        if needle in message and (signature.pattern is None or signature.pattern.search(message)):
            return signature
    return None


def classify(text: str) -> Failure | None:
    """The failure a message from elsewhere (an engine's refusal, a pull error) names, or None."""
    for part in text.splitlines():
        signature = match_signature(part)
        if signature is not None and not signature.warning:
            return Failure(failure=signature.failure, line=safe_line(part), remedy=signature.remedy)
    return None


def ended_by_us(code: int | None) -> bool:
    """True for the exit codes of a program that was stopped, killed or reached its deadline."""
    return code is not None and (128 - code if code < 0 else code) in _ENDED_BY_US


def by_exit_code(code: int | None) -> Failure | None:
    """What an exit code alone says; negative codes are signals. None for 0 and for an unknown code."""
    if code is None or code == 0:
        return None
    normal = 128 - code if code < 0 else code
    failure, what, remedy = _CODES.get(
        normal, (FailureClass.UNKNOWN, "failed without a message", "read the end of the log")
    )
    return Failure(failure=failure, line=f"the program {_verb(what)} (exit code {normal})", remedy=remedy)


def _verb(what: str) -> str:
    return what if what.startswith(("failed", "refused", "could")) else f"ended: {what}"


def _needles() -> Iterator[tuple[Signature, str]]:
    for signature in SIGNATURES:
        for needle in signature.needles:
            yield signature, needle


_NEEDLES = tuple(_needles())
