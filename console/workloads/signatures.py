"""Failure signatures of the programs and the runtime below them, as data.

Each has literal needles, of which one must occur before the pattern is tried. The ids say where they come from: D
device and Docker, E entry and engine, H Hugging Face, M memory, R RCCL, G GPU, T training.
"""

import re

import msgspec

from console.model.attempt import FailureClass as F


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A line that names a failure. `secondary` ones only echo an earlier one; `warning` ones do not end a run."""

    id: str
    failure: F
    needles: tuple[str, ...]
    remedy: str
    pattern: re.Pattern[str] | None = None
    secondary: bool = False
    warning: bool = False


def _s(id: str, failure: F, needles: str | tuple[str, ...], remedy: str, pattern: str = "") -> Signature:
    return Signature(
        id=id,
        failure=failure,
        needles=(needles,) if isinstance(needles, str) else needles,
        remedy=remedy,
        pattern=re.compile(pattern) if pattern else None,
    )


def _secondary(id: str, needles: tuple[str, ...], pattern: str = "") -> Signature:
    remedy = "look for the first error before this line, in every part's log"
    return msgspec.structs.replace(_s(id, F.ENGINE_DIED, needles, remedy, pattern), secondary=True)


def _warning(id: str, failure: F, needles: str | tuple[str, ...], remedy: str) -> Signature:
    return msgspec.structs.replace(_s(id, failure, needles, remedy), warning=True)


_GROUPS = (
    "give the container the numeric group ids of /dev/kfd and /dev/dri/renderD* on that host, and pass the devices"
)
_SHM = "start the container with --ipc=host or --shm-size of at least 16G"
_FLAG = "the image's vLLM does not know this flag: choose the recipe of that image, or leave the flag out with --set"
_GPU_BUSY = "another process holds GPU memory on that host: end it, or wait for it"
_KV = "lower max_model_len, raise gpu_memory_utilization, or use more GPUs"
_HARDWARE = "look at the host's kernel log (amdgpu, page fault, reset) and at its driver and firmware"

SIGNATURES: tuple[Signature, ...] = (
    _s(
        "D1",
        F.NO_KFD,
        "error gathering device information while adding custom device",
        "load the amdgpu driver on the host; /dev/kfd and /dev/dri must exist",
    ),
    _s(
        "D2",
        F.DEVICE_PERMISSION,
        (
            "Unable to open /dev/kfd",
            "is not member of",
            "No HIP GPUs are available",
            "ROCk module is NOT loaded",
        ),
        _GROUPS,
        r"Unable to open /dev/kfd|is not member of \"(?:render|video|nogroup)\" group|No HIP GPUs are available"
        r"|ROCk module is NOT loaded",
    ),
    _s("D3", F.GROUP_MISSING, "Unable to find group", "pass numeric group ids of the host instead of names"),
    _s(
        "D4-disk",
        F.DISK_FULL,
        "no space left on device",
        "free disk space on the host",
    ),
    _s(
        "D4",
        F.IMAGE_PULL,
        ("pull access denied", "manifest unknown", "toomanyrequests"),
        "check the image reference and the host's access to its registry, or load the image by hand",
    ),
    _s("E1", F.WRONG_FLAG, ("error: unrecognized arguments: ", "ignored explicit argument "), _FLAG),
    _s(
        "E1-value",
        F.WRONG_FLAG,
        ("error: argument ", "error: the following arguments are required"),
        _FLAG,
    ),
    _s(
        "E2",
        F.DEPRECATED_ENTRY,
        "DEPRECATED: This script has been moved to the vLLM CLI",
        'use `vllm bench` with this image: its profile must say entry = "bench"',
    ),
    _s(
        "E2-absent",
        F.DEPRECATED_ENTRY,
        ("can't open file '", "executable file not found in $PATH"),
        "this image has no such program: choose the entry its profile should name (script or bench)",
    ),
    _s("E3", F.WRONG_FLAG, "VLLM_USE_V1=1 is not supported with", "take VLLM_USE_V1 out of the environment"),
    _s(
        "E4",
        F.WRONG_PARAMETERS,
        "Total number of attention heads",
        "choose a tensor parallel size that divides the model's attention heads",
        r"Total number of attention heads \(\d+\) must be divisible by tensor parallel size",
    ),
    _s(
        "E5",
        F.WRONG_PARAMETERS,
        ("Quantization method specified in the model config", "Unknown quantization method"),
        "leave quantization out: the checkpoint names its own",
    ),
    _s(
        "E6",
        F.WRONG_PARAMETERS,
        ("Please ensure that max_model_len is greater than the sum of", "is greater than the derived max_model_len"),
        "choose a max_model_len between input_len + output_len and what the model supports",
    ),
    _s(
        "H1",
        F.GATED_MODEL,
        ("You are trying to access a gated repo", "Cannot access gated repo", "GatedRepoError"),
        "give a Hugging Face token of an account that accepted the model's licence",
    ),
    _s(
        "H1-token",
        F.GATED_MODEL,
        "HF_TOKEN environment variable is not set",
        "give a Hugging Face token",
    ),
    _s(
        "H2",
        F.MODEL_NOT_FOUND,
        (
            "Repository Not Found for url",
            "RepositoryNotFoundError",
            "is not a local folder and is not a valid model identifier",
            "Invalid repository ID or local directory specified",
            "Repo id must be in the form",
            "Repo id must be ",
        ),
        "check the model id; a path must exist inside the container",
    ),
    _s(
        "H1-http",
        F.GATED_MODEL,
        ("401 Client Error", "403 Client Error"),
        "give a Hugging Face token of an account that accepted the model's licence",
        r"(?:401|403) Client Error.*huggingface|(?:401|403) Client Error: (?:Unauthorized|Forbidden)",
    ),
    _s(
        "H3",
        F.HUB_UNREACHABLE,
        (
            "We couldn't connect to 'https://huggingface.co'",
            "LocalEntryNotFoundError",
            "OfflineModeIsEnabled",
            "Cannot find an appropriate cached snapshot folder",
        ),
        "measured runs are offline: complete the model in the host's cache with `instinct fetch`",
    ),
    _s(
        "H3-net",
        F.HUB_UNREACHABLE,
        (
            "Max retries exceeded",
            "Name or service not known",
            "Temporary failure in name resolution",
            "ReadTimeoutError",
        ),
        "the host does not reach huggingface.co: check its network or proxy",
        r"(?:Max retries exceeded|ReadTimeoutError).*hugging\s?face|Name or service not known"
        r"|Temporary failure in name resolution",
    ),
    _s("H4", F.DISK_FULL, "[Errno 28] No space left on device", "free disk space on the host"),
    _s(
        "M1",
        F.OUT_OF_MEMORY_GPU,
        ("HIP out of memory", "CUDA out of memory", "torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError"),
        "lower gpu_memory_utilization, max_num_seqs or max_num_batched_tokens; if little was free before loading, "
        "another process holds the GPU",
    ),
    _s("M2", F.KV_CACHE_TOO_SMALL, "No available memory for the cache blocks", _KV),
    _s(
        "M3",
        F.KV_CACHE_TOO_SMALL,
        (
            "is larger than the maximum number of tokens that can be stored in KV cache",
            "To serve at least one request with",
        ),
        _KV,
        r"The model's max seq len \(\d+\) is larger than the maximum number of tokens that can be stored in KV cache"
        r"|To serve at least one request with the models?'s max seq len",
    ),
    _s(
        "M4",
        F.GPU_IN_USE,
        ("Error in memory profiling. Initial", "Free memory on device"),
        _GPU_BUSY,
        r"Error in memory profiling\. Initial (?:used|free) memory"
        r"|Free memory on device.* is less than desired GPU memory utilization",
    ),
    _s("R2", F.SHARED_MEMORY, ("Bus error", "insufficient shared memory (shm)"), _SHM),
    _s("R1-shm", F.SHARED_MEMORY, ("Error while creating shared memory segment", "ncclShmOpen"), _SHM),
    _s(
        "T-net",
        F.RCCL,
        (
            "Bootstrap : no socket interface found",
            "Unable to find address for",
            "No interface found in the same subnet",
        ),
        "name the interface that reaches the other hosts in the fleet file (NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME)",
    ),
    _s(
        "T-ib",
        F.RCCL,
        "Got completion from peer",
        "check the RoCE path between the hosts: GID index, PFC, link state",
        r"NET/IB\s*: Got completion from peer .* with (?:status|error)",
    ),
    _s(
        "R1",
        F.RCCL,
        (
            "ncclSystemError",
            "ncclRemoteError",
            "NCCL error: unhandled",
            "DistBackendError: NCCL error in",
            "Watchdog caught collective operation timeout",
        ),
        f"{_SHM}; with several hosts look at the other hosts' logs first",
    ),
    _warning(
        "R3",
        F.RCCL,
        "NUMA auto balancing enabled which can lead to variability in the RCCL performance",
        "switch NUMA balancing off on the host: sysctl kernel.numa_balancing=0",
    ),
    _warning("R4", F.RCCL, 'Missing "iommu=pt"', "add iommu=pt to the host's kernel command line"),
    _s(
        "G1",
        F.GPU_FAULT,
        "Memory access fault by GPU node-",
        _HARDWARE,
        r"Memory access fault by GPU node-\d+ .*on address 0x[0-9a-fA-F]+\. Reason: ",
    ),
    _s(
        "G2",
        F.GPU_HANG,
        "HW Exception by GPU node-",
        _HARDWARE,
        r"HW Exception by GPU node-\d+ .*reason ?:\s?GPU Hang",
    ),
    _s(
        "G3",
        F.WRONG_ARCH,
        ("hipErrorNoBinaryForGpu", "Only MI300 machines support fp8"),
        "this image was not built for that GPU: choose another image",
    ),
    _s(
        "G3-hsa",
        F.GPU_FAULT,
        ("HSA_STATUS_ERROR_OUT_OF_RESOURCES", "HSA_STATUS_ERROR_EXCEPTION", "hipErrorInvalidDevice"),
        f"raise the memlock limit of the container; {_HARDWARE}",
    ),
    _s(
        "E8",
        F.PORT_IN_USE,
        ("address already in use", "Address already in use", "EADDRINUSE"),
        "another process of that host has the port, and containers share its network: choose another with --set port=",
    ),
    _secondary(
        "E7",
        (
            "Engine core initialization failed",
            "WorkerProc initialization failed due to an exception in a background process",
            "EngineDeadError",
            "MQEngineDeadError",
            "Engine process failed to start. See stack trace for the root cause",
            "died, exit code:",
            "died unexpectedly",
        ),
        r"Engine core initialization failed|WorkerProc initialization failed|EngineDeadError"
        r"|Engine process failed to start|Worker \w+ pid \d+ died, exit code: -?\d+|Worker proc .* died unexpectedly",
    ),
    _secondary("E7-client", ("Initial test run failed", "Cannot connect to host", "Connect call failed")),
    _secondary("T-elastic", ("torch.distributed.elastic.multiprocessing", "ChildFailedError")),
)
"""In the order they are tried on a line: the first that matches names it."""

WHOLE_LINE_EXCEPTIONS = re.compile(
    r"((?:[A-Za-z_]\w{0,80}\.){0,12}[A-Za-z_]\w{0,80}?"
    r"(?:Error|Exception|Interrupt|SystemExit|StopIteration|Timeout|\bEmpty|\bAgain))(?:: (.*)|:?$)"
)
"""The last line of a traceback: a plain or dotted exception name at the start, then its message."""

SECONDARY_EXCEPTIONS = frozenset(
    {
        "BrokenPipeError",
        "CancelledError",
        "ConnectionResetError",
        "EOFError",
        "KeyboardInterrupt",
        "ProcessExitedException",
        "ProcessRaisedException",
        "SystemExit",
        "ValidationError",
    }
)
"""Exceptions that follow another process's death or our own stop, and pydantic's own, which the cause follows.

Only the last part of a dotted name counts."""
