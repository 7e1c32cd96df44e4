"""Failure signatures of the programs and the runtime below them, as data.

Each has literal needles, of which one must occur before the pattern is tried. The ids say where they come from: D
device and Docker, E entry and engine, H Hugging Face, M memory, R RCCL, G GPU, S our set-up steps, T training.
"""

import re

from console.model.attempt import FailureClass as F
from console.workloads.signature import Signature, echo, known, warning
from console.workloads.training_signatures import SETUP_SIGNATURES, TRAINING_SIGNATURES

_GROUPS = (
    "give the container the numeric group ids of /dev/kfd and /dev/dri/renderD* on that host, and pass the devices"
)
_SHM = "start the container with --ipc=host or --shm-size of at least 16G"
_FLAG = "the image's program does not know this flag: choose the recipe of that image, or leave the flag out with --set"
_GPU_BUSY = "another process holds GPU memory on that host: end it, or wait for it"
_KV = "lower max_model_len, raise gpu_memory_utilization, or use more GPUs"
_HARDWARE = "look at the host's kernel log (amdgpu, page fault, reset) and at its driver and firmware"

SIGNATURES: tuple[Signature, ...] = (
    *SETUP_SIGNATURES,
    known(
        "D1",
        F.NO_KFD,
        "error gathering device information while adding custom device",
        "load the amdgpu driver on the host; /dev/kfd and /dev/dri must exist",
    ),
    known(
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
    known("D3", F.GROUP_MISSING, "Unable to find group", "pass numeric group ids of the host instead of names"),
    known(
        "D4-disk",
        F.DISK_FULL,
        "no space left on device",
        "free disk space on the host",
    ),
    known(
        "D4",
        F.IMAGE_PULL,
        ("pull access denied", "manifest unknown", "toomanyrequests"),
        "check the image reference and the host's access to its registry, or load the image by hand",
    ),
    known("E1", F.WRONG_FLAG, ("error: unrecognized arguments: ", "ignored explicit argument "), _FLAG),
    known(
        "E1-value",
        F.WRONG_FLAG,
        ("error: argument ", "error: the following arguments are required"),
        _FLAG,
    ),
    known(
        "E2",
        F.DEPRECATED_ENTRY,
        "DEPRECATED: This script has been moved to the vLLM CLI",
        'use `vllm bench` with this image: its profile must say entry = "bench"',
    ),
    known(
        "E2-absent",
        F.DEPRECATED_ENTRY,
        ("can't open file '", "executable file not found in $PATH"),
        "this image has no such program: choose the entry its profile should name (script or bench)",
    ),
    known("E3", F.WRONG_FLAG, "VLLM_USE_V1=1 is not supported with", "take VLLM_USE_V1 out of the environment"),
    known(
        "E4",
        F.WRONG_PARAMETERS,
        "Total number of attention heads",
        "choose a tensor parallel size that divides the model's attention heads",
        r"Total number of attention heads \(\d+\) must be divisible by tensor parallel size",
    ),
    known(
        "E5",
        F.WRONG_PARAMETERS,
        ("Quantization method specified in the model config", "Unknown quantization method"),
        "leave quantization out: the checkpoint names its own",
    ),
    known(
        "E6",
        F.WRONG_PARAMETERS,
        ("Please ensure that max_model_len is greater than the sum of", "is greater than the derived max_model_len"),
        "choose a max_model_len between input_len + output_len and what the model supports",
    ),
    known(
        "H1",
        F.GATED_MODEL,
        ("You are trying to access a gated repo", "Cannot access gated repo", "GatedRepoError"),
        "give a Hugging Face token of an account that accepted the model's licence",
    ),
    known(
        "H1-token",
        F.GATED_MODEL,
        "HF_TOKEN environment variable is not set",
        "give a Hugging Face token",
    ),
    known(
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
    known(
        "H1-http",
        F.GATED_MODEL,
        ("401 Client Error", "403 Client Error", "ERROR 401: ", "ERROR 403: "),
        "give a Hugging Face token of an account that accepted the model's licence",
        r"(?:401|403) Client Error.*huggingface|(?:401|403) Client Error: (?:Unauthorized|Forbidden)"
        r"|ERROR 40[13]: (?:Unauthorized|Forbidden)",  # wget
    ),
    known(
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
    known(
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
    known("H4", F.DISK_FULL, "[Errno 28] No space left on device", "free disk space on the host"),
    known(
        "M1-squatter",
        F.GPU_IN_USE,
        "Of the allocated memory 0 bytes is allocated by PyTorch",
        _GPU_BUSY,
    ),
    known(
        "M1",
        F.OUT_OF_MEMORY_GPU,
        ("HIP out of memory", "CUDA out of memory", "torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError"),
        "lower gpu_memory_utilization, max_num_seqs or max_num_batched_tokens; if little was free before loading, "
        "another process holds the GPU",
    ),
    known("M2", F.KV_CACHE_TOO_SMALL, "No available memory for the cache blocks", _KV),
    known(
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
    known(
        "M4",
        F.GPU_IN_USE,
        ("Error in memory profiling. Initial", "Free memory on device"),
        _GPU_BUSY,
        r"Error in memory profiling\. Initial (?:used|free) memory"
        r"|Free memory on device.* is less than desired GPU memory utilization",
    ),
    known("R2", F.SHARED_MEMORY, ("Bus error", "insufficient shared memory (shm)"), _SHM),
    known("R1-shm", F.SHARED_MEMORY, ("Error while creating shared memory segment", "ncclShmOpen"), _SHM),
    *TRAINING_SIGNATURES,
    known(
        "R1",
        F.RCCL,
        (
            "ncclSystemError",
            "ncclRemoteError",
            "NCCL error: ",
            "NCCL ERROR",
            "NCCL timeout",
            "DistBackendError: NCCL error in",
        ),
        f"{_SHM}; with several hosts look at the other hosts' logs first",
    ),
    warning(
        "R3",
        F.RCCL,
        "NUMA auto balancing enabled which can lead to variability in the RCCL performance",
        "switch NUMA balancing off on the host: sysctl kernel.numa_balancing=0",
    ),
    warning("R4", F.RCCL, 'Missing "iommu=pt"', "add iommu=pt to the host's kernel command line"),
    known(
        "G1",
        F.GPU_FAULT,
        "Memory access fault by GPU node-",
        _HARDWARE,
        r"Memory access fault by GPU node-\d+ .*on address 0x[0-9a-fA-F]+\. Reason: ",
    ),
    known(
        "G2",
        F.GPU_HANG,
        "HW Exception by GPU node-",
        _HARDWARE,
        r"HW Exception by GPU node-\d+ .*reason ?:\s?GPU Hang",
    ),
    known(
        "G3",
        F.WRONG_ARCH,
        ("hipErrorNoBinaryForGpu", "Only MI300 machines support fp8", "required for FP8 execution"),
        "this image was not built for that GPU: choose another image",
    ),
    known(
        "G3-hsa",
        F.GPU_FAULT,
        ("HSA_STATUS_ERROR_OUT_OF_RESOURCES", "HSA_STATUS_ERROR_EXCEPTION", "hipErrorInvalidDevice"),
        f"raise the memlock limit of the container; {_HARDWARE}",
    ),
    known("G4", F.GPU_FAULT, ("Uncorrectable error", "uncorrectable ECC error", "GPU Reset"), _HARDWARE),
    known(
        "E8",
        F.PORT_IN_USE,
        ("address already in use", "Address already in use", "EADDRINUSE"),
        "another process of that host has the port, and containers share its network: choose another with --set port=",
    ),
    echo(
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
    echo("E7-client", ("Initial test run failed", "Cannot connect to host", "Connect call failed")),
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
