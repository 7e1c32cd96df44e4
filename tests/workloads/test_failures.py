"""Failure signatures: each of the table, root cause first, and what must not be taken for an error."""

from collections.abc import Callable
from typing import Any

import pytest

from console.model.attempt import FailureClass as F
from console.model.attempt import LogFrame
from console.workloads.failures import FailureScan, by_exit_code, classify
from console.workloads.lines import Line

Read = Callable[..., Any]

SIGNATURE_LINES = [
    ("D1", F.NO_KFD, 'docker: error gathering device information while adding custom device "/dev/kfd": no such file'),
    ("D2", F.DEVICE_PERMISSION, "Unable to open /dev/kfd read-write: Permission denied"),
    ("D2", F.DEVICE_PERMISSION, 'root is not member of "render" group, the default DRM access group.'),
    ("D2", F.DEVICE_PERMISSION, "RuntimeError: No HIP GPUs are available"),
    ("D2", F.DEVICE_PERMISSION, "ROCk module is NOT loaded, possibly no GPU devices"),
    ("D3", F.GROUP_MISSING, "Unable to find group render: no matching entries in group file"),
    ("D4", F.IMAGE_PULL, "Error response from daemon: pull access denied for rocm/vllm"),
    ("D4", F.IMAGE_PULL, "manifest for rocm/vllm:x not found: manifest unknown"),
    ("D4-disk", F.DISK_FULL, "write /var/lib/docker/tmp/x: no space left on device"),
    ("E1", F.WRONG_FLAG, "benchmark_throughput.py: error: unrecognized arguments: False"),
    ("E1", F.WRONG_FLAG, "error: argument --enable-chunked-prefill: ignored explicit argument 'False'"),
    ("E1-value", F.WRONG_FLAG, "vllm: error: argument --dtype: invalid choice: 'fp4'"),
    ("E2", F.DEPRECATED_ENTRY, "DEPRECATED: This script has been moved to the vLLM CLI."),
    (
        "E2-absent",
        F.DEPRECATED_ENTRY,
        "python3: can't open file '/app/vllm/benchmarks/x.py': [Errno 2]",
    ),
    ("E3", F.WRONG_FLAG, "NotImplementedError: VLLM_USE_V1=1 is not supported with --num-scheduler-steps."),
    (
        "E4",
        F.WRONG_PARAMETERS,
        "ValueError: Total number of attention heads (64) must be divisible by tensor parallel size (3).",
    ),
    (
        "E5",
        F.WRONG_PARAMETERS,
        "ValueError: Quantization method specified in the model config (quark) does not match the quantization method "
        "specified in the `quantization` argument (fp8).",
    ),
    ("E6", F.WRONG_PARAMETERS, "AssertionError: Please ensure that max_model_len is greater than the sum of input_len"),
    ("E7", F.ENGINE_DIED, "RuntimeError: Engine core initialization failed. See root cause above."),
    ("E7", F.ENGINE_DIED, "ERROR 05-21 10:00:00 [m.py:1] Worker VllmWorkerProcess pid 533 died, exit code: -15"),
    ("E7", F.ENGINE_DIED, "Exception: WorkerProc initialization failed due to an exception in a background process."),
    ("E7", F.ENGINE_DIED, "ERROR 05-21 10:00:00 [m.py:1] Worker proc VllmWorker-3 died unexpectedly, shutting down"),
    ("E7", F.ENGINE_DIED, "RuntimeError: Engine process failed to start. See stack trace for the root cause."),
    ("E8", F.PORT_IN_USE, "OSError: [Errno 98] Address already in use"),
    ("E8", F.PORT_IN_USE, "ERROR:    [Errno 98] error while attempting to bind on address: address already in use"),
    ("H1", F.GATED_MODEL, "OSError: You are trying to access a gated repo."),
    ("H1", F.GATED_MODEL, "huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-2)"),
    (
        "H1-http",
        F.GATED_MODEL,
        "HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/x",
    ),
    (
        "H2",
        F.MODEL_NOT_FOUND,
        "hub.errors.RepositoryNotFoundError: 401 Client Error. (Request ID: Root=1-2)",
    ),
    ("H2", F.MODEL_NOT_FOUND, "OSError: x/y is not a local folder and is not a valid model identifier listed on"),
    ("H2", F.MODEL_NOT_FOUND, "ValueError: Invalid repository ID or local directory specified: '/x'"),
    ("H3", F.HUB_UNREACHABLE, "OSError: We couldn't connect to 'https://huggingface.co' to load the files"),
    ("H3", F.HUB_UNREACHABLE, "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find the requested files"),
    (
        "H3-net",
        F.HUB_UNREACHABLE,
        "(host='huggingface.co', port=443): Max retries exceeded with huggingface",
    ),
    ("H4", F.DISK_FULL, "OSError: [Errno 28] No space left on device"),
    (
        "M1",
        F.OUT_OF_MEMORY_GPU,
        "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
        "191.98 GiB of which 1.2 GiB is free.",
    ),
    ("M2", F.KV_CACHE_TOO_SMALL, "ValueError: No available memory for the cache blocks. Try increasing"),
    (
        "M3",
        F.KV_CACHE_TOO_SMALL,
        "ValueError: The model's max seq len (4096) is larger than the maximum number of tokens that can be stored in "
        "KV cache (128).",
    ),
    ("M3", F.KV_CACHE_TOO_SMALL, "ValueError: To serve at least one request with the models's max seq len (4096)"),
    (
        "M4",
        F.GPU_IN_USE,
        "AssertionError: Error in memory profiling. Initial free memory 100, current 120.",
    ),
    (
        "M4",
        F.GPU_IN_USE,
        "ValueError: Free memory on device (3.1/191.98 GiB) on startup is less than desired GPU memory utilization",
    ),
    (
        "R1",
        F.RCCL,
        "torch.distributed.DistBackendError: NCCL error in: x.cpp:3330, unhandled system error",
    ),
    ("R1-shm", F.SHARED_MEMORY, "node01:1:2 [0] NCCL WARN Error while creating shared memory segment /dev/shm/nccl-x"),
    ("R2", F.SHARED_MEMORY, "RuntimeError: DataLoader worker is killed: insufficient shared memory (shm)"),
    (
        "T-timeout",
        F.COLLECTIVE_TIMEOUT,
        "[rank0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1, OpType=ALLREDUCE)",
    ),
    ("T-net", F.WRONG_INTERFACE, "NCCL WARN Bootstrap : no socket interface found"),
    ("T-ib", F.RCCL, "NCCL WARN NET/IB : Got completion from peer 10.0.0.2<1> with status=12 opcode=0"),
    (
        "G1",
        F.GPU_FAULT,
        "Memory access fault by GPU node-2 (Agent handle: 0x5) on address 0x7f00. Reason: Unknown.",
    ),
    ("G2", F.GPU_HANG, "HW Exception by GPU node-3 (Agent handle: 0x5) reason :GPU Hang"),
    ("G3", F.WRONG_ARCH, "hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"),
    ("T-elastic", F.ENGINE_DIED, "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:"),
]


def scan(*texts: str) -> FailureScan:
    found = FailureScan()
    for number, text in enumerate(texts):
        found.look(Line(number, 1, text))
    return found


@pytest.mark.parametrize(("signature", "failure", "text"), SIGNATURE_LINES)
def test_a_signature_names_its_class_and_a_remedy(signature: str, failure: F, text: str) -> None:
    symptom = FailureScan().look(Line(5, 2, text))
    assert symptom is not None
    assert (symptom.signature, symptom.failure) == (signature, failure)
    assert symptom.remedy
    assert symptom.at_ns == 5
    assert symptom.line.split()[-1] in text


@pytest.mark.parametrize(
    "text",
    [
        "INFO 05-21 10:00:00 [m.py:1] If out-of-memory error occurs during cudagraph capture, consider decreasing",
        "If out-of-memory error occurs during cudagraph capture, consider decreasing `gpu_memory_utilization`",
        "INFO 05-21 10:00:00 [l.py:1] Received prompt: 'HIP out of memory'",
        "    raise GatedRepoError(message, response) from e",
        '  File "x.py", line 1, in check_EngineDeadError_x',
        "node01:1:2 [0] NCCL INFO Bootstrap : Using eth0, ncclSystemError follows never",
        "FutureWarning: `torch.distributed.reduce_op` is deprecated",
        "Throughput: 1.00 requests/s, 2.00 total tokens/s, 1.00 output tokens/s",
    ],
)
def test_what_is_no_error_is_left_alone(text: str) -> None:
    assert scan(text).root() is None


def test_a_warning_never_ends_a_run() -> None:
    found = scan(
        "WARNING 05-21 10:00:00 [x.py:1] Max retries exceeded with huggingface.co, retrying",
        'host:1:2 [0] NCCL WARN Missing "iommu=pt" from kernel command line which can lead to system instablity',
        "NCCL WARN NUMA auto balancing enabled which can lead to variability in the RCCL performance! Disable by",
    )
    assert found.root() is None
    assert [symptom.signature for symptom in found.warnings] == ["H3-net", "R4", "R3"]


def test_the_earliest_known_root_cause_stands_before_what_echoes_it() -> None:
    root = scan(
        "RuntimeError: something odd",
        "(EngineCore pid=3) ERROR 05-21 10:00:00 [c.py:1] torch.OutOfMemoryError: HIP out of memory. Tried to",
        "ValueError: No available memory for the cache blocks. Try increasing",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ).root()
    assert root is not None
    assert root.failure == F.OUT_OF_MEMORY_GPU
    assert root.line == "torch.OutOfMemoryError: HIP out of memory. Tried to"
    assert len(root.others) == 3
    assert root.others[-1].startswith("RuntimeError: Engine core initialization failed")


def test_without_a_known_cause_the_first_exception_that_echoes_nothing_is_shown() -> None:
    root = scan(
        "KeyboardInterrupt",
        "RuntimeError: Engine core initialization failed. See root cause above.",
        "[rank0]: my.package.errors.StrangeError: it went wrong",
        "TypeError: later",
    ).root()
    assert root is not None
    assert (root.failure, root.line) == (F.PYTHON_ERROR, "my.package.errors.StrangeError: it went wrong")


def test_when_everything_echoes_the_first_echo_is_shown() -> None:
    root = scan("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.").root()
    assert root is not None
    assert root.failure == F.ENGINE_DIED


def test_pydantic_hides_the_cause_under_its_own_name() -> None:
    root = scan(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
        "  Value error, the model is too strange [type=value_error]",
    ).root()
    assert root is not None
    assert root.line.startswith("the model is too strange")


def test_an_exception_python_ignored_at_shutdown_is_no_cause() -> None:
    found = scan(
        "Exception ignored in: <function X.__del__ at 0x7f>",
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in __del__',
        "AttributeError: 'X' object has no attribute 'y'",
        "ValueError: the real one",
    )
    root = found.root()
    assert root is not None
    assert root.line == "ValueError: the real one"


def test_an_error_glued_behind_an_info_line_is_seen() -> None:
    root = scan(
        "INFO 05-21 10:00:00 [a.py:1] half a line(Worker pid=3) ERROR 05-21 10:00:00 [b.py:1] HIP out of memory. Tried"
    ).root()
    assert root is not None
    assert root.failure == F.OUT_OF_MEMORY_GPU


def test_secrets_and_escapes_do_not_reach_the_failure() -> None:
    failure = classify("OSError: You are trying to access a gated repo with hf_abcdefghijklmnop\x1b[2J")
    assert failure is not None
    assert failure.line == "OSError: You are trying to access a gated repo with [redacted]"


def test_a_secret_at_the_end_of_a_line_that_is_cut_does_not_stay_in_part() -> None:
    told = "OSError: You are trying to access a gated repo"
    line = f"{told} {'a' * (300 - len(told) - 6)} hf_abcdefghijklmnop"
    failure = classify(line)
    assert failure is not None
    assert "hf_" not in failure.line
    assert len(failure.line) <= 300


def test_each_symptom_is_reported_once_and_floods_are_bounded() -> None:
    found = FailureScan()
    lines = [f"E{number}Error: {number}" for number in range(500)] * 2
    reported = [symptom for text in lines if (symptom := found.look(Line(0, 1, text)))]
    assert len(reported) == len({symptom.signature for symptom in reported}) == 64


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (2, F.WRONG_FLAG),
        (124, F.DEADLINE),
        (127, F.DEPRECATED_ENTRY),
        (130, F.STOPPED),
        (135, F.SHARED_MEMORY),
        (137, F.KILLED),
        (-9, F.KILLED),
        (143, F.STOPPED),
        (1, F.UNKNOWN),
        (134, F.UNKNOWN),
        (139, F.UNKNOWN),
    ],
)
def test_an_exit_code_alone_says_what_it_can(code: int, failure: F) -> None:
    said = by_exit_code(code)
    assert said is not None
    assert said.failure == failure
    assert "exit code" in said.line


def test_zero_and_unknown_exit_codes_are_no_failure() -> None:
    assert by_exit_code(0) is None
    assert by_exit_code(None) is None


@pytest.mark.parametrize(
    ("case", "failure", "start"),
    [
        ("0.8.5/fail/badflag", F.WRONG_FLAG, "vllm: error: unrecognized arguments: --no-such-flag 1"),
        (
            "0.8.5/fail/badmodel",
            F.MODEL_NOT_FOUND,
            "huggingface_hub.errors.HFValidationError: Repo id must",
        ),
        ("0.8.5/fail/maxlen", F.WRONG_PARAMETERS, "ValueError: User-specified max_model_len (100000)"),
        ("0.32.0/fail/badflag", F.WRONG_FLAG, "vllm: error: unrecognized arguments: --no-such-flag 1"),
        ("0.32.0/fail/kvsmall", F.KV_CACHE_TOO_SMALL, "ValueError: To serve at least one request with"),
        ("0.32.0/fail/maxlen", F.WRONG_PARAMETERS, "Value error, User-specified max_model_len (100000)"),
    ],
)
@pytest.mark.parametrize("order", [(".stdout", ".stderr"), (".stderr", ".stdout")])
def test_real_failures_show_their_cause(
    case: str, failure: F, start: str, order: tuple[str, str], data: Callable[[str], bytes], read: Read
) -> None:
    frames = [LogFrame(1, 1 + (end == ".stderr"), data(case + end)) for end in order]
    got = read("vllm-throughput", frames, exit_code=2 if "badflag" in case else 1).result
    assert got.failure is not None
    assert got.failure.failure == failure
    assert got.failure.line.startswith(start)
    assert got.value() is None
