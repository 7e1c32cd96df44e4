"""What ends training runs: signatures, ranks that need each other, the fabric; and where bytes are cut."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import console.workloads  # noqa: F401 - fills the registry
from console.model.attempt import FailureClass as F
from console.model.attempt import LogFrame, Validity
from console.workloads.base import registry
from console.workloads.failures import FailureScan
from console.workloads.lines import Line

Read = Callable[..., Any]
MakeCell = Callable[..., Any]
LLAMA = {
    "script": "train_llama3.sh",
    "model_size": 8,
    "micro_batch_size": 2,
    "global_batch_size": 256,
    "sequence_length": 8192,
    "fp8": True,
}


@pytest.mark.parametrize(
    ("signature", "failure", "text"),
    [
        (
            "M1-squatter",
            F.GPU_IN_USE,
            "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
            "191.98 GiB of which 1.2 GiB is free. Of the allocated memory 0 bytes is allocated by PyTorch",
        ),
        (
            "T-timeout",
            F.COLLECTIVE_TIMEOUT,
            "[rank0]:[E1218 20:27:21.426415540 ProcessGroupNCCL.cpp:629] [Rank 0] Watchdog caught collective operation "
            "timeout: WorkNCCL(SeqNum=1, OpType=BROADCAST, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 60 s",
        ),
        ("R1", F.RCCL, "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting"),
        ("R1", F.RCCL, "RuntimeError: NCCL error: remote process exited or there was a network error"),
        ("R1", F.RCCL, "NCCL timeout after 1800 s"),
        (
            "T-ib",
            F.RCCL,
            "NCCL WARN NET/IB : Got completion from peer 10.0.0.2<47> with status=12 opcode=1",
        ),
        ("T-net", F.WRONG_INTERFACE, "NCCL WARN Bootstrap : no socket interface found"),
        ("T-net", F.WRONG_INTERFACE, "RuntimeError: ifa != nullptr. Unable to find address for: ens51np0"),
        (
            "T-net",
            F.WRONG_INTERFACE,
            "NCCL WARN Net : No interface found in the same subnet as remote 10.0.0.1",
        ),
        ("H1", F.GATED_MODEL, "OSError: You are trying to access a gated repo."),
        ("H1-http", F.GATED_MODEL, "2025-08-13 03:40:00 ERROR 401: Unauthorized."),
        ("H1-http", F.GATED_MODEL, "2025-08-13 03:40:00 ERROR 403: Forbidden."),
        ("H1-token", F.GATED_MODEL, "ERROR: HF_TOKEN environment variable is not set"),
        (
            "H3-net",
            F.HUB_UNREACHABLE,
            "ReadTimeoutError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Read timed out.\")",
        ),
        ("G3", F.WRONG_ARCH, "AssertionError: Only MI300 machines support fp8"),
        ("G3", F.WRONG_ARCH, "AssertionError: Device compute capability 9.4 or higher required for FP8 execution."),
        ("G2", F.GPU_HANG, "HW Exception by GPU node-3 (Agent handle: 0x5) reason :GPU Hang"),
        ("G4", F.GPU_FAULT, "amdgpu 0000:05:00.0: Uncorrectable error found"),
        ("T-nan", F.NAN_LOSS, "RuntimeError: Rank 3: found NaN in local forward loss calculation. Device: cuda:3"),
        ("T-tokenizer", F.TOKENIZER, "OSError: Can't load tokenizer for '/root/.cache/data/tokenizer_llama3'."),
        (
            "S-token",
            F.GATED_MODEL,
            "instinct set-up: no token that may read meta-llama/Llama-3.1-8B (401)",
        ),
        ("S-network", F.HUB_UNREACHABLE, "instinct set-up: no network: pip could not complete requirements.txt"),
        ("S-tokenizer", F.TOKENIZER, "instinct set-up: tokenizer folder /x is there without a usable tokenizer.json"),
        ("S-other", F.SETUP, "instinct set-up: the image has no examples/llama/train_llama3.sh"),
        (
            "E8",
            F.PORT_IN_USE,
            "[W socket.cpp:752] The server socket has failed to bind (errno: 98 - Address already in use).",
        ),
        (
            "T-killed",
            F.RANK_DIED,
            "E1122 22:02:23.228000 1 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: -9) "
            "local_rank: 3 (pid: 1234) of binary: /usr/bin/python3",
        ),
        (
            "T-rank",
            F.RANK_DIED,
            "E1122 22:02:23.228000 1 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: -6) "
            "local_rank: 3 (pid: 1234) of binary: /usr/bin/python3",
        ),
        (
            "T-peer",
            F.RANK_DIED,
            "RuntimeError: [gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:4711",
        ),
        (
            "T-peer",
            F.RANK_DIED,
            "RuntimeError: [/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error "
            "[172.17.0.3]:50400: Connection reset by peer. This is typically caused by a remote worker hanging",
        ),
    ],
)
def test_signatures_of_training_runs(signature: str, failure: F, text: str) -> None:
    symptom = FailureScan().look(Line(5, 2, text))
    assert symptom is not None
    assert (symptom.signature, symptom.failure) == (signature, failure)
    assert symptom.remedy


ELASTIC = (
    "E1122 22:02:23.228000 1 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 3 "
    "(pid: 1234) of binary: /usr/bin/python3\n"
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
    "============================================================\n"
    "Root Cause (first observed failure):\n"
)


def test_torchruns_own_words_come_last(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=2, **LLAMA)
    log = "[rank3]: Traceback (most recent call last):\n[rank3]: torch.OutOfMemoryError: HIP out of memory. Tried\n"
    failure = read("megatron-llama", (log + ELASTIC).encode(), cell=cell, part="rank0", exit_code=1).result.failure
    assert failure.failure is F.OUT_OF_MEMORY_GPU
    assert failure.at_ns == 1_000_000_000, "among several parts the earliest is the cause"
    assert any("local_rank: 3" in other for other in failure.others)
    alone = read("megatron-llama", ELASTIC.encode(), cell=cell, part="rank0", exit_code=1).result.failure
    assert (alone.failure, "local_rank: 3" in alone.line) == (F.RANK_DIED, True)


def test_a_rank_that_was_killed_stands_before_what_the_others_of_its_node_say(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=2, **LLAMA)
    log = "[rank2]: ValueError: something that missed it\n" + ELASTIC.replace("exitcode: 1)", "exitcode: -9)")
    failure = read("megatron-llama", log.encode(), cell=cell, part="rank0", exit_code=1).result.failure
    assert (failure.failure, failure.echo) == (F.RANK_DIED, False)
    assert "failed (exitcode: -9) local_rank: 3" in failure.line
    other = "RuntimeError: [gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:4711\n"
    missed = read("megatron-llama", other.encode(), cell=cell, part="rank1", exit_code=1).result.failure
    assert (missed.failure, missed.echo) == (F.RANK_DIED, True)


INIT = (
    "node0:880:887 [0] NCCL INFO Bootstrap : Using eth2:10.0.0.1<0>\n"
    "node0:880:887 [0] NCCL INFO NET/IB : Using [0]bnxt_re0:1/RoCE [1]bnxt_re1:1/RoCE [RO]; OOB eth2:10.0.0.1<0>\n"
    "node0:880:887 [0] NCCL INFO Using network IB\n"
    "node0:880:887 [0] NCCL INFO Channel 00/0 : 7[7] -> 8[0] [send] via NET/IB/0/GDRDMA\n"
)
SOCKETS = (
    "node0:880:887 [0] NCCL INFO NET/IB : No device found.\n"
    "node0:880:887 [0] NCCL INFO NET/Socket : Using [0]eth2:10.0.0.1<0>\n"
    "node0:880:887 [0] NCCL INFO Using network Socket\n"
)
OVER_SOCKETS = "node0:880:887 [0] NCCL INFO Channel 00/0 : 7[7] -> 8[0] [send] via NET/Socket/0\n"


def iteration(number: int) -> str:
    return (
        f" [2025-08-13 03:42:28] iteration {number}/ 50 | elapsed time per iteration (ms): 11000.0 | throughput per "
        "GPU (TFLOP/s/GPU): 690.0 | global batch size: 256 | lm loss: 7.2E+00 | number of nan iterations: 0 |\n"
    )


RUN = "".join(iteration(number) for number in range(1, 51))


@pytest.mark.parametrize(("nodes", "said", "spoiled"), [(2, INIT, False), (2, SOCKETS, True), (1, SOCKETS, False)])
def test_a_fallback_to_sockets_spoils_several_nodes_only(
    nodes: int, said: str, spoiled: bool, make_cell: MakeCell, read: Read
) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=nodes, **LLAMA)
    part = "rank1" if nodes == 2 else "main"
    got = read("megatron-llama", (said + RUN).encode(), cell=cell, part=part, exit_code=0).result
    assert got.failure is None
    assert (Validity.SOCKET_FALLBACK in {reason.reason for reason in got.reasons if reason.spoils}) == spoiled


@pytest.mark.parametrize(
    ("nodes", "said", "noted"),
    [
        (2, INIT, []),
        (2, INIT.replace("/GDRDMA", ""), [Validity.NO_GPU_DIRECT]),
        (2, "", [Validity.NETWORK_UNKNOWN]),
        (1, "", []),
    ],
    ids=["rdma", "without gpudirect", "nothing said", "one node"],
)
def test_what_rccl_said_of_its_network_or_did_not_say_is_noted(
    nodes: int, said: str, noted: list[Validity], make_cell: MakeCell, read: Read
) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=nodes, **LLAMA)
    part = "rank1" if nodes == 2 else "main"
    got = read("megatron-llama", (said + RUN).encode(), cell=cell, part=part, exit_code=0).result
    reasons = [item for item in got.reasons if item.reason in (Validity.NO_GPU_DIRECT, Validity.NETWORK_UNKNOWN)]
    assert [item.reason for item in reasons] == noted
    assert not any(item.spoils for item in reasons)


def test_a_job_that_failed_is_not_asked_for_its_network(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=2, **LLAMA)
    assert read("megatron-llama", b"", cell=cell, part="rank1", exit_code=1).result.reasons == ()


def test_a_channel_over_sockets_says_so_without_a_cell_too(read: Read) -> None:
    [reason] = read("megatron-llama", (SOCKETS + OVER_SOCKETS + RUN).encode()).result.reasons
    assert reason.reason is Validity.SOCKET_FALLBACK
    assert "via NET/Socket/0" in reason.detail


def test_a_run_that_met_on_the_loopback_hangs_for_that_reason(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=2, **LLAMA)
    log = b"node0:880:887 [0] NCCL INFO Bootstrap : Using lo:127.0.0.1<0>\n"
    got = read("megatron-llama", log, cell=cell, part="rank1", exit_code=124)
    assert got.result.failure.failure is F.WRONG_INTERFACE
    assert "--set interface=NAME" in got.result.failure.remedy
    assert "fleet file" not in got.result.failure.remedy, "it has no such key"
    [symptom] = got.symptoms
    assert symptom.warning
    alone = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", **LLAMA)
    assert read("megatron-llama", log, cell=alone, exit_code=124).result.failure.failure is F.DEADLINE


def test_a_rank_stopped_by_us_keeps_what_it_knew(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric="tflops_per_s_per_gpu", nodes=2, **LLAMA)
    stopped = read("megatron-llama", ELASTIC.encode(), cell=cell, part="rank0", exit_code=143).result.failure
    assert stopped.failure is F.STOPPED
    cause = b"HW Exception by GPU node-3 (Agent handle: 0x5) reason :GPU Hang\n"
    known = read("megatron-llama", cause + ELASTIC.encode(), cell=cell, part="rank0", exit_code=143).result.failure
    assert known.failure is F.GPU_HANG


def test_numa_balancing_is_a_reason(read: Read) -> None:
    warning = "NCCL WARN NUMA auto balancing enabled which can lead to variability in the RCCL performance!\n"
    got = read("megatron-llama", (warning + RUN).encode()).result
    assert Validity.NUMA_BALANCING_ON in {reason.reason for reason in got.reasons}


PIECES = st.lists(
    st.sampled_from(
        [
            *(piece.encode() for piece in (INIT, SOCKETS, ELASTIC, iteration(3), iteration(4), iteration(50))),
            b"[Rank 0] (after 1 iterations) memory (MB) | allocated: 1.0" + iteration(5).encode(),
            b"throughput per GPU: nan\ntokens/GPU/s: -nan\n",
            b"\x1b[31mstep:  7  \x1b[32mloss: nan  memory: 145.40GiB(75.49%)  tps: 1,886  tflops: 426.79\x1b[39m\n",
            b"7 1.25\nwarming up iter: 7/64.0; TFLOP/s: 540.1; iteration time: 2.6; token per second: 9345.2\n",
            b"Step: 65; TFLOP/s: 540.1; iteration time: 2.6; token per second: 9345.2\rAvg TFLOP/s, 540.1\n",
            b"INFO - Step 2: {'step_loss': 0.4, 'step_time_total': 1.8, 'fps_gpu': 4.3, 'tflops/s': 276.17}\n",
            *(b"\r", b"\n", b"\xff\x1b[", b'Traceback (most recent call last):\n  File "<string>", line 1\n'),
            b"IndexError: list index out of range\n",
        ]
    ),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize("workload", ["train-fsdp", "torchtitan", "flux", "megatron-llama", "megatron-deepseek"])
@given(raw=PIECES, cuts=st.lists(st.integers(0, 3000), max_size=8))
@settings(max_examples=40, deadline=None)
def test_where_bytes_are_cut_makes_no_difference(workload: str, raw: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    whole, cut = registry()[workload].reader(None, "main"), registry()[workload].reader(None, "main")
    at_once = list(whole.feed([LogFrame(1, 1, raw)]))
    bit_by_bit = [signal for a, b in pairwise(edges) for signal in cut.feed([LogFrame(1, 1, raw[a:b])])]
    assert bit_by_bit == at_once
    assert cut.close({}, 0) == whole.close({}, 0)
