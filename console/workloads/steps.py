"""One training step as a program reports it, and what is shown and kept of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from console.model.attempt import MetricValue, Sample

GIB = 1024**3

TFLOPS = "tflops_per_s_per_gpu"
TOKENS = "tokens_per_s_per_gpu"
IMAGES = "images_per_s_per_gpu"
STEP_S = "step_s"
NODE_TOKENS = "tokens_per_s_per_node"
NODE_IMAGES = "images_per_s_per_node"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one step, all per GPU; None where the program does not say.

    `number` counts from 1 within one program run. `memory_used` is the part of the GPU's memory in use. `pause`: no
    step comes next for a while.
    """

    number: int
    seconds: float | None = None
    tflops: float | None = None
    tokens: float | None = None
    images: float | None = None
    loss: float | None = None
    loss_is_nan: bool = False
    memory_used: float | None = None
    memory_bytes: float | None = None
    extra: Mapping[str, float] = {}
    pause: bool = False

    def rate(self, metric: str) -> float | None:
        """The step's figure of a rate metric."""
        return {TFLOPS: self.tflops, TOKENS: self.tokens, IMAGES: self.images}.get(metric)


def samples(
    step: Step, *, at_ns: int, metric: str, done: float, total: float | None, gpus: int | None
) -> Iterator[Sample]:
    """The samples of a step: progress with the cell's own metric, then tokens/s where that is another one.

    `extra` of the first holds every other figure by its metric name, `loss`, and those only this program prints.
    """
    extra = {
        NODE_TOKENS: step.tokens * gpus if step.tokens is not None and gpus else None,
        NODE_IMAGES: step.images * gpus if step.images is not None and gpus else None,
        TFLOPS: step.tflops if metric != TFLOPS else None,
        TOKENS: step.tokens if metric != TOKENS else None,
        IMAGES: step.images if metric != IMAGES else None,
        STEP_S: step.seconds,
        "loss": step.loss,
        "gpu_memory_used": step.memory_used,
        "gpu_memory_bytes": step.memory_bytes,
        **step.extra,
    }
    rate = step.rate(metric)
    yield Sample(
        at_ns=at_ns,
        source="iteration line",
        metric=metric if rate is not None else None,
        rate=rate,
        done=done,
        total=total,
        counts="steps",
        extra={name: value for name, value in extra.items() if value is not None},
        pause=step.pause,
    )
    if metric != TOKENS and step.tokens is not None:
        yield Sample(at_ns=at_ns, source="iteration line", metric=TOKENS, rate=step.tokens)


def values_of(steps: Iterable[Step], origin: str = "iteration line") -> Iterator[MetricValue]:
    """Every step's figures, to be kept with the result."""
    for step in steps:
        for metric, value in (
            (TFLOPS, step.tflops),
            (TOKENS, step.tokens),
            (IMAGES, step.images),
            (STEP_S, step.seconds),
        ):
            if value is not None:
                yield MetricValue(metric=metric, value=value, iteration=step.number, origin=origin)


def mean(values: Sequence[float | None]) -> float | None:
    """The arithmetic mean; None when there is nothing, or a value is missing: a rule counts every step it names."""
    if not values:
        return None
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
