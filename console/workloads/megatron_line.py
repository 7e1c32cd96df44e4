"""Megatron-LM's iteration line, in the forms of ROCm's fork, of upstream and of Primus.

`iteration 50/ 50 | consumed samples: 12800 | elapsed time per iteration (ms): 10235.8 | mem usages: 0.7494 | throughput
per GPU (TFLOP/s/GPU): 590.2 | … | lm loss: 7.272264E+00 | … | number of nan iterations: 0 |`. Primus prints two values
for one (`10231.0/10250.4`, `590.2 (avg 589.3)`): the first is of this iteration.
"""

import re
from collections.abc import Iterator

import msgspec

from console.workloads.numbers import NUMBER, is_nan, number

_START = re.compile(r"\biteration\s+(\d{1,9})\s*/\s*(\d{1,9})\s*\|")
_FIELD = re.compile(rf"([A-Za-z][A-Za-z0-9 _/()]{{1,60}}?):\s*({NUMBER})")
_ELAPSED = "elapsed time per iteration (ms)"
_TFLOPS = ("throughput per GPU (TFLOP/s/GPU)", "compute per GPU (TFLOP/s/GPU)")
_TOKENS = (
    "tokens per GPU (tokens/s/GPU)",
    "tokens/s/GPU inst/harmonic mean",
    "tokens/s/GPU",
    "Tokens per second per GPU (Tok/s/GPU)",
)


class IterationLine(msgspec.Struct, frozen=True, kw_only=True):
    """One iteration as printed; None where the line does not say, or says nan."""

    number: int
    total: int
    milliseconds: float | None
    tflops: float | None
    tokens: float | None
    memory_used: float | None
    global_batch_size: float | None
    loss: float | None
    loss_is_nan: bool
    skipped: float | None


def iterations(text: str) -> Iterator[IterationLine]:
    """Every iteration in a line: ranks write without waiting for each other's line ends."""
    starts = list(_START.finditer(text))
    for place, start in enumerate(starts):
        end = starts[place + 1].start() if place + 1 < len(starts) else len(text)
        fields = _fields(text[start.end() : end])
        if _ELAPSED not in fields:
            continue  # a line about an iteration, not of one
        loss = fields.get("lm loss")
        yield IterationLine(
            number=int(start[1]),
            total=int(start[2]),
            milliseconds=number(fields[_ELAPSED]),
            tflops=number(_first(fields, _TFLOPS)),
            tokens=number(_first(fields, _TOKENS)),
            memory_used=number(fields.get("mem usages")),
            global_batch_size=number(fields.get("global batch size")),
            loss=number(loss),
            loss_is_nan=is_nan(loss) or bool(number(fields.get("number of nan iterations"))),
            skipped=number(fields.get("number of skipped iterations")),
        )


def _fields(rest: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in rest.split("|"):
        field = _FIELD.match(part.strip())
        if field is not None:
            found.setdefault(field[1].strip(), field[2])
    return found


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((fields[name] for name in names if name in fields), None)
