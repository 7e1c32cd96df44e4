"""FluxBenchmark's `launcher.py`: FLUX.1-dev with batch 1 and 10, each run with a log file, and a summary of both."""

import csv
import io
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime

from console.lab import train_rates as rates
from console.lab.acts import Act, Exit, Wait, err, out
from console.lab.torchrun import Session
from console.lab.train_args import Asked

BATCHES = (1, 10)
ITERATIONS = 100
DROPPED = 5
FOLDER = "/workspace/FluxBenchmark/outputs/runs/sweep_000"


def play(session: Session, asked: Asked) -> Iterator[Act]:
    """The launcher with its default configuration. A wrapper that shows the log files gets their lines too."""
    yield Wait(4.0)
    yield out(f"Total runs to execute: {len(BATCHES)}")
    rows = []
    for number, batch in enumerate(BATCHES, 1):
        log = f"{FOLDER}/{number - 1}_logs_flux_mini_benchmark.txt"
        yield out(f"Starting run {number}/{len(BATCHES)}")
        yield out(f"Logging to {log}")
        session.around.files.save(f"{FOLDER}/{number - 1}_config_flux_mini_benchmark.yaml", _config(batch))
        if number == 1:
            yield from session.gather(address="localhost", port=29500, total=ITERATIONS)
        yield Wait(40.0)
        run = _Run(session, batch, shown="_logs" in asked.script or "tail" in asked.script)
        yield from run.play()
        session.around.files.save(log, "".join(run.lines).encode())
        rows.append(run.row(number - 1))
        yield out(f"Run {number} completed successfully!")
    yield from _save(session, rows)
    session.finished = True
    yield out("All runs completed.")
    yield Exit(0)


def _config(batch: int) -> bytes:
    return (
        f"train_args:\n  train_batch_size: {batch}\n  max_train_steps: {ITERATIONS}\n  mixed_precision: bf16\n"
        "  resolution: 512\nfsdp:\n  sharding_strategy: HYBRID_SHARD\n"
    ).encode()


class _Run:
    """One configuration: its steps, its log lines, its row of the summary."""

    def __init__(self, session: Session, batch: int, *, shown: bool) -> None:
        self.session, self.batch, self.shown = session, batch, shown
        rate = rates.IMAGES_PER_S.get(batch, 4.0) * session.around.kind.gpu.rate
        self.fps = session.noisy(rate)
        self.lines: list[str] = []
        self.seen: list[tuple[float, float]] = []

    def play(self) -> Iterator[Act]:
        """All steps; the first one is slow."""
        session = self.session
        first = self.batch == BATCHES[0]
        for number in range(1, ITERATIONS + 1):
            took = session.noisy(self.batch / self.fps, 0.005) * (6.0 if number == 1 else 1.0)
            # failures belong to the run that counts, the first one is over in a minute
            yield from session.step(number, took) if not first else iter((Wait(took),))
            fps = self.batch / took
            self.seen.append((fps, fps * rates.TFLOP_PER_IMAGE))
            nan = session.around.fault == "nan" and number > 30
            loss = "nan" if nan else f"{0.45 - 0.0008 * number + 0.02 * session.rng.random():.4f}"
            at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
            line = (
                f"{at} - INFO - Step {number}: {{'step_loss': {loss}, 'lr': 1e-05, 'step_time': {took:.4f}, "
                f"'fps_gpu': {fps:.4f}, 'tflops/s': {fps * rates.TFLOP_PER_IMAGE:.2f}}}"
            )
            self.lines.append(f"{line}\n")
            if self.shown:
                yield out(line)

    def row(self, number: int) -> dict[str, object]:
        """Its row of `runs_summary.csv`."""
        kept = self.seen[DROPPED:]
        fps, tflops = [one for one, _ in kept], [one for _, one in kept]
        return {
            "run": f"{number}_flux_mini_benchmark",
            "train_batch_size": self.batch,
            "avg_fps": statistics.fmean(fps),
            "std_fps": statistics.pstdev(fps),
            "avg_tflops": statistics.fmean(tflops),
            "std_tflops": statistics.pstdev(tflops),
        }


def _save(session: Session, rows: list[dict[str, object]]) -> Iterator[Act]:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    fault = session.around.fault
    if fault == "no-result-file":
        return
    if fault == "truncated-result":
        data = data[: len(data) // 3]
    elif fault == "not-json":
        data = b"<html><body>502 Bad Gateway</body></html>\n"
    try:
        session.around.files.save(f"{FOLDER}/runs_summary.csv", data)
    except OSError as error:
        yield err(f"OSError: [Errno {error.errno}] {error.strerror}: '{FOLDER}/runs_summary.csv'")
        yield Exit(1)
