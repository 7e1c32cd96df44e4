"""The entry script, run by each shell an image may have: deadline, signals, secrets, exit codes, markers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.fleet.engine.entry import (
    DEADLINE_EXIT,
    DEADLINE_REACHED,
    ENTRY,
    NO_SECRETS_EXIT,
    SECRETS_RECEIVED,
    STARTED,
    WAITING_FOR_SECRETS,
    entry_arguments,
    is_blocked,
    secrets_input,
)

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
TOKEN = "hf_" + "Q7" * 17

Started = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    return words


@pytest.fixture
def run(shell: list[str], tmp_path: Path) -> Iterator[Started]:
    """Starts the entry as a container does; what it leaves behind is killed at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(
        *argv: str, deadline: int = 0, grace: int = 1, secrets: str = "-", env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [*shell, "-c", ENTRY, "instinct", str(deadline), str(grace), str(tmp_path), secrets, *argv]
        pipe = subprocess.PIPE
        processes.append(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=env)
        )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def lines(data: bytes) -> list[str]:
    return [line for line in data.decode().splitlines() if line]


def stat_fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["gone", "0", "0", "0"]


def alive(pid: int) -> bool:
    """Not gone, and not only waiting to be reaped by this machine's init."""
    return stat_fields(pid)[0] not in ("gone", "Z", "X")


def session(pid: int) -> int:
    return int(stat_fields(pid)[3])


@pytest.mark.parametrize("code", [0, 1, 3, 137])
def test_the_programs_exit_code_and_output_are_passed_on(run: Started, code: int) -> None:
    out, err = (process := run("sh", "-c", f"echo out; echo err >&2; exit {code}")).communicate(b"")
    assert (out, process.returncode) == (b"out\n", code)
    assert lines(err) == [STARTED, "err"]


def test_arguments_reach_the_program_as_they_are(run: Started) -> None:
    words = ["a b", "", "'q' \"d\" $HOME `id` \\n", "*", "-x", "ü\n2"]
    out, _ = run(sys.executable, "-c", "import sys; print(sys.argv[1:])", *words).communicate(b"")
    assert out.decode().strip() == str(words)


def test_a_program_that_cannot_run_has_the_shells_own_code(run: Started, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    for program, code in (("/nowhere/at-all", 127), (f"{tmp_path}/data", 126)):
        process = run(program)
        process.communicate(b"")
        assert process.returncode == code


def test_the_program_gets_no_stdin(run: Started) -> None:
    out, _ = run("cat").communicate(b"not for the program")
    assert out == b""


def test_the_deadline_ends_the_whole_process_group(run: Started, tmp_path: Path) -> None:
    script = f"sleep 97 & echo $! >{tmp_path}/child; wait"
    process = run("sh", "-c", script, deadline=1)
    _, err = process.communicate(b"")
    assert process.returncode == DEADLINE_EXIT
    assert lines(err)[:2] == [STARTED, DEADLINE_REACHED]
    assert not alive(int((tmp_path / "child").read_text()))


def test_a_program_that_ignores_term_is_killed_after_the_grace(run: Started) -> None:
    process = run("sh", "-c", "trap '' TERM; while :; do sleep 1; done", deadline=1)
    process.communicate(b"")
    assert process.returncode == DEADLINE_EXIT


def test_a_program_may_end_well_in_the_grace_and_is_late_all_the_same(run: Started) -> None:
    process = run("sh", "-c", "trap 'echo tidy; exit 0' TERM; sleep 97 & wait", deadline=1, grace=60)
    out, _ = process.communicate(b"")
    assert (out, process.returncode) == (b"tidy\n", DEADLINE_EXIT)


def test_nothing_stays_behind_when_the_program_ends_before_its_deadline(run: Started) -> None:
    process = run("true", deadline=5000)
    process.communicate(b"")  # would wait for a sleep that keeps the pipes
    for _ in range(200):  # the timer puts its own sleep away after the entry ended
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        if not (left := [pid for pid in pids if session(pid) == process.pid and alive(pid)]):
            break
        time.sleep(0.05)
    assert left == []


def read_until(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line.decode():
            return
    pytest.fail(f"ended without {text}")


def test_term_is_passed_on_and_the_programs_answer_is_the_exit_code(run: Started) -> None:
    process = run("sh", "-c", "trap 'exit 42' TERM; echo ready >&2; sleep 97 & wait")
    read_until(process, "ready")
    process.terminate()
    assert process.wait() == 42


def test_a_program_killed_by_a_signal_shows_as_128_plus_its_number(run: Started) -> None:
    process = run("sh", "-c", "echo ready >&2; exec sleep 97")
    read_until(process, "ready")
    process.terminate()
    assert process.wait() == 143


def test_an_interrupt_reaches_a_python_program(run: Started) -> None:
    program = "import sys, time\nprint('ready', file=sys.stderr, flush=True)\ntime.sleep(97)"
    process = run(sys.executable, "-c", program)
    read_until(process, "ready")
    process.send_signal(signal.SIGINT)
    assert process.wait() in (130, 143)  # INT where env can undo what the shell ignores, else TERM


def test_several_signals_do_not_lose_the_exit_code(run: Started) -> None:
    process = run(
        "sh", "-c", "trap 'n=$((n+1)); [ $n -lt 3 ] || exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done"
    )
    read_until(process, "ready")
    while process.poll() is None:
        process.terminate()
        time.sleep(0.1)
    assert process.returncode == 7


def test_a_secret_becomes_a_private_file_and_its_path_an_environment_variable(run: Started, tmp_path: Path) -> None:
    process = run("sh", "-c", 'cat "$HF_TOKEN_PATH"; env >&2', secrets="hf_token")
    out, err = process.communicate(secrets_input({"hf_token": TOKEN}))
    assert out.decode() == TOKEN
    assert lines(err)[:3] == [WAITING_FOR_SECRETS, SECRETS_RECEIVED, STARTED]
    assert f"HF_TOKEN_PATH={tmp_path}/hf_token" in lines(err)
    assert TOKEN not in err.decode()
    assert (tmp_path / "hf_token").stat().st_mode & 0o777 == 0o600


def test_a_delivery_that_was_cut_off_is_void_and_the_next_one_counts(run: Started, tmp_path: Path) -> None:
    for cut in range(1, 20):
        whole = secrets_input({"hf_token": TOKEN})
        broken = secrets_input({"hf_token": "hf_WRONGWRONG"})[: cut * 2]
        process = run("cat", f"{tmp_path}/hf_token", secrets="hf_token")
        out, _ = process.communicate(broken + whole)
        assert out.decode() == (TOKEN if b"\nend\n" not in broken else "hf_WRONGWRONG")


def test_without_the_secret_the_program_is_not_started(run: Started) -> None:
    process = run("echo", "ran", secrets="hf_token")
    out, err = process.communicate(b"\nbegin\nhf_token hf_cut")
    assert (out, process.returncode) == (b"", NO_SECRETS_EXIT)
    assert STARTED not in err.decode()


def test_the_deadline_holds_also_while_waiting_for_the_secret(run: Started) -> None:
    process = run("echo", "ran", secrets="hf_token", deadline=1)
    assert process.wait() == DEADLINE_EXIT
    assert process.stdout is not None
    assert process.stdout.read() == b""


def test_term_ends_the_wait_for_the_secret(run: Started) -> None:
    process = run("echo", "ran", secrets="hf_token")
    read_until(process, WAITING_FOR_SECRETS)
    process.terminate()
    assert process.wait() == 143


def test_it_works_where_setsid_timeout_and_env_are_missing(run: Started, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sleep", "dash", "busybox", "bash", "cat"):
        if path := shutil.which(name):
            (folder / name).symlink_to(path)
    env = {"PATH": str(folder)}
    process = run("cat", "/dev/null", env=env)
    process.communicate(b"")
    assert process.returncode == 0
    process = run("sleep", "97", deadline=1, env=env)
    process.communicate(b"")
    assert process.returncode == DEADLINE_EXIT


def test_blocked_is_seen_from_the_last_marker() -> None:
    assert is_blocked(f"{WAITING_FOR_SECRETS}\n".encode())
    assert not is_blocked(f"{WAITING_FOR_SECRETS}\n{SECRETS_RECEIVED}\n".encode())
    assert not is_blocked(f"{WAITING_FOR_SECRETS}\n{SECRETS_RECEIVED}\n{STARTED}\nINFO loading\n".encode())
    assert not is_blocked(b"INFO: a log without markers\n")
    assert not is_blocked(b"")


def test_the_script_reads_well_inside_single_quotes() -> None:
    assert "'" not in ENTRY


@pytest.mark.parametrize("value", ["", "two\nlines", "tab\there", "caf\u00e9"])
def test_a_secret_that_is_no_single_printable_line_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ValueError, match="hf_token") as error:
        secrets_input({"hf_token": value})
    assert value == "" or value not in str(error.value)


def test_an_unknown_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="wandb_key"):
        entry_arguments(10, ["wandb_key"])
