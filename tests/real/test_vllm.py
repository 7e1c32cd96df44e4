"""A real vLLM in real containers behind a real sshd, run by the command a person types."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from console.model.attempt import FailureClass, Outcome, Sample
from console.model.events import PartStarted
from console.store.paths import StateFolder
from console.store.records import AttemptRow
from console.store.tail import Tail

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PATIENCE_S = 300.0


def tail_of(host: Any) -> Tail:
    """The journal of the console on this host."""
    return Tail(StateFolder.open(host.store))


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that another process brings about."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.2)


def attempts(host: Any) -> dict[str, AttemptRow]:
    """The attempts of the newest run by cell."""
    tail = tail_of(host)
    return {f"{row.matrix}/{row.cell_id}": row for row in tail.attempts(tail.find_run("last").run)}


def samples(host: Any, attempt: str) -> list[Sample]:
    """Live figures of an attempt, as the journal has them."""
    found = tail_of(host).of_attempt(attempt, Sample)
    return [item.event for item in found if isinstance(item.event, Sample)]


def stored_json(host: Any, row: AttemptRow, part: str = "main") -> Any:
    """The program's own result file, as it was collected."""
    return json.loads((host.store / "attempts" / row.attempt / f"{part}.instinct-result.json").read_bytes())


def counted_tokens(host: Any, row: AttemptRow) -> int:
    """Output tokens the program counted, from its log."""
    log = (host.store / "attempts" / row.attempt / "main.log").read_text()
    (line,) = [line for line in log.splitlines() if line.startswith("Total num output tokens:")]
    return int(line.rpartition(":")[2])


def figure(row: AttemptRow) -> float:
    """The stored headline figure."""
    assert row.outcome is Outcome.OK, row.failure
    assert row.result is not None
    value = row.result.value()
    assert value is not None
    return value


def test_the_release_of_the_published_rows_runs_from_fleet_file_to_table(real_host: Any) -> None:
    out = real_host.folder / "results.parquet"
    process = real_host.start("run", "real-throughput", "real-latency", "real-serve", "-o", str(out), "--json")
    tail = tail_of(real_host)
    until(lambda: tail.runs() or process.poll() is not None, "a run")
    live: list[float] = []
    while True:
        for row in tail.attempts(tail.runs()[-1].run):
            if row.outcome is None:
                live += [item.rate for item in samples(real_host, row.attempt) if item.rate]
        with contextlib.suppress(subprocess.TimeoutExpired):
            stdout, stderr = process.communicate(timeout=0.5)
            break
    assert process.returncode == 1, stderr  # one row is made to fail
    assert live, "no live tokens/s before the end"
    rows = attempts(real_host)

    throughput = rows["real-throughput/in64-out400-n400"]
    said = stored_json(real_host, throughput)
    tokens = counted_tokens(real_host, throughput)
    assert figure(throughput) == pytest.approx(tokens / said["elapsed_time"], rel=1e-3)
    assert figure(throughput) < said["tokens_per_second"], "that would be the total"

    latency = rows["real-latency/bs4-in128-out64"]
    times = stored_json(real_host, latency)["latencies"]
    assert figure(latency) == pytest.approx(sum(times) / len(times), rel=1e-9)
    assert latency.result is not None
    assert [item.value for item in latency.result.values if item.iteration is not None] == pytest.approx(times)

    serve = rows["real-serve/in128-out256-n200"]
    said = stored_json(real_host, serve, "client")
    assert figure(serve) == pytest.approx(said["total_output_tokens"] / said["duration"], rel=1e-3)
    sources = {item.source for item in samples(real_host, serve.attempt)}
    assert "metrics endpoint" in sources

    broken = rows["real-throughput/too-long"]
    assert broken.outcome is Outcome.FAILED
    assert broken.failure is not None
    assert broken.failure.failure is FailureClass.WRONG_PARAMETERS
    assert "max_model_len" in broken.failure.line

    _table_agrees(out, json.loads(stdout), rows)
    assert_nothing_left(real_host)


def _table_agrees(out: Path, printed: Any, rows: dict[str, AttemptRow]) -> None:
    frame = pl.read_parquet(out)
    assert frame.height == len(rows)
    assert printed["schema_version"] == 1
    by_cell = {f"{row['matrix']}/{row['cell']}": row for row in frame.to_dicts()}
    for name, row in rows.items():
        found = by_cell[name]
        value = row.result.value() if row.result and row.outcome is Outcome.OK else None
        assert found["value"] == value
        assert found["hosts"] == ["real01"]
        assert found["simulated"] is False
    assert by_cell["real-throughput/too-long"]["failure"] == "wrong_parameters"


def assert_nothing_left(host: Any) -> None:
    """No container of this run is on the engine any more."""
    rows = attempts(host).values()
    listed = subprocess.run(
        ["docker", "ps", "-a", "--format", '{{.Label "instinct.attempt"}}'], capture_output=True, text=True, check=True
    )
    assert not {row.attempt for row in rows} & set(listed.stdout.split())


def test_the_current_command_form_runs_too(real_host: Any) -> None:
    done = real_host.run(
        "run", "real-throughput", "real-latency", "real-serve", "--image", "cpu-0.32.0", "--only", "not id~too-long"
    )
    assert done.returncode == 0, done.stderr
    rows = attempts(real_host)
    throughput = next(row for name, row in rows.items() if name.startswith("real-throughput/"))
    said = stored_json(real_host, throughput)
    assert figure(throughput) == pytest.approx(counted_tokens(real_host, throughput) / said["elapsed_time"], rel=1e-3)
    latency = next(row for name, row in rows.items() if name.startswith("real-latency/"))
    assert figure(latency) == pytest.approx(stored_json(real_host, latency)["avg_latency"], rel=1e-9)
    serve = next(row for name, row in rows.items() if name.startswith("real-serve/"))
    said = stored_json(real_host, serve, "client")
    assert figure(serve) == pytest.approx(said["total_output_tokens"] / said["duration"], rel=1e-3)
    assert "metrics endpoint" in {item.source for item in samples(real_host, serve.attempt)}
    assert serve.result is not None
    assert serve.result.engine == "V1"
    assert_nothing_left(real_host)


def test_a_killed_console_loses_nothing_and_starts_nothing_twice(real_host: Any) -> None:
    process = real_host.start("run", "real-throughput", "--only", "num_prompts==400")
    tail = tail_of(real_host)

    def measuring() -> bool:
        assert process.poll() is None, process.communicate()[1]
        runs = tail.runs()
        return bool(runs) and any(samples(real_host, row.attempt) for row in tail.attempts(runs[-1].run))

    until(measuring, "a live sample")
    process.send_signal(signal.SIGKILL)
    process.wait()
    (before,) = attempts(real_host).values()
    assert before.outcome is None
    # while nobody conducts, the host is still held: a second console is told who has it
    second = real_host.run("run", "real-latency", "--store", str(real_host.folder / "other"), "--json")
    assert second.returncode == 1, second.stderr
    assert second.stdout, second.stderr
    (refused,) = json.loads(second.stdout)["rows"]
    assert refused["state"] == "not run"
    assert "real-tester" in refused["failure_line"]

    done = real_host.run("run", "--resume", "last")
    assert done.returncode == 0, done.stderr
    (row,) = attempts(real_host).values()
    said = stored_json(real_host, row)
    assert figure(row) == pytest.approx(counted_tokens(real_host, row) / said["elapsed_time"], rel=1e-3)
    assert len(tail.of_attempt(row.attempt, PartStarted)) == 1
    log = (real_host.store / "attempts" / row.attempt / "main.log").read_text()
    assert log.count("Automatically detected platform") == 1, "lines were lost or repeated"
    assert_nothing_left(real_host)
