"""Two looks at a host: what grew between them becomes a reason, what stood there before does not."""

from collections.abc import Mapping
from typing import Any

import pytest

from console.fleet.vitals import Vitals
from console.model.attempt import Validity
from console.model.facts import Clock, KernelLine, KernelLog, Known, RasBlock, Unknown
from console.model.launch import GpuSeat, Seat
from console.runs.deltas import DETAILS, changes, used

SEAT = Seat(rank=0, host="n1")
GPU, OTHER = "0000:05:00.0", "0000:26:00.0"
OLD = ("up", "ready", "amdgpu 0000:05:00.0: amdgpu: GPU reset begin!")


def log(*texts: str, source: str = "dmesg") -> Known[KernelLog]:
    lines = tuple(KernelLine(text=text, raw=f"[{number}.0] {text}") for number, text in enumerate(texts))
    return Known(KernelLog(source=source, lines=lines, complete=True), source)


def block(name: str, uncorrectable: int, correctable: int, deferred: int | None = None) -> RasBlock:
    return RasBlock(block=name, uncorrectable=uncorrectable, correctable=correctable, deferred=deferred)


def look(**fields: Any) -> Vitals:
    given: dict[str, Any] = {
        "host": "n1",
        "read_at_ns": 1,
        "boot_id": "b1",
        "gpus": (GPU, OTHER),
        "ras": {GPU: (block("umc", 1, 9), block("gfx", 0, 0)), OTHER: (block("umc", 0, 0),)},
        "kernel_log": log(*OLD),
    }
    return Vitals(**{**given, **fields})


def seen(after: Vitals | None, before: Vitals | None = None, seat: Seat = SEAT) -> list[tuple[Validity, str]]:
    return [(reason.reason, reason.detail) for reason in changes(seat, before or look(), after)]


def test_a_host_on_which_nothing_happened_gives_no_reason() -> None:
    assert seen(look()) == []


def test_errors_are_named_with_gpu_and_block_and_the_grave_ones_spoil() -> None:
    ras = {GPU: (block("umc", 3, 9), block("gfx", 0, 4)), OTHER: (block("umc", 0, 0),)}
    assert seen(look(ras=ras)) == [
        (Validity.RAS_ERROR, f"n1 {GPU}: 2 uncorrectable in umc"),
        (Validity.RAS_CORRECTED, f"n1 {GPU}: 4 correctable in gfx"),
    ]
    assert [reason.spoils for reason in changes(SEAT, look(), look(ras=ras))] == [True, False]


def test_deferred_errors_are_noted() -> None:
    before = look(ras={GPU: (block("umc", 0, 0, 1),), OTHER: (block("umc", 0, 0),)})
    after = look(ras={GPU: (block("umc", 0, 0, 2),), OTHER: (block("umc", 0, 0),)})
    assert seen(after, before) == [(Validity.RAS_CORRECTED, f"n1 {GPU}: 1 deferred in umc")]


def test_only_the_attempts_own_gpus_count_and_a_partition_is_its_device() -> None:
    seat = Seat(rank=0, host="n1", all_gpus=False, gpus=(GpuSeat("0000:26:00.1", "/dev/dri/renderD129"),))
    assert (used(seat, OTHER), used(seat, GPU), used(SEAT, GPU)) == (True, False, True)
    ras = {GPU: (block("umc", 3, 9),), OTHER: (block("umc", 1, 0),)}
    assert seen(look(ras=ras), seat=seat) == [(Validity.RAS_ERROR, f"n1 {OTHER}: 1 uncorrectable in umc")]


def test_a_gpu_that_left_spoils_and_one_that_sleeps_is_not_known() -> None:
    assert seen(look(gpus=(GPU,))) == [(Validity.RAS_ERROR, f"n1 {OTHER} does not answer any more")]
    assert seen(look(gpus=(GPU,), asleep=(OTHER,))) == [
        (Validity.UNWATCHED, f"n1: error counters of GPU {OTHER}"),
    ]
    assert seen(look(ras={})) == [(Validity.UNWATCHED, "n1: error counters of 2 GPUs")]


def test_new_faults_of_the_kernel_log_are_told_and_old_ones_rest() -> None:
    fatal = "amdgpu 0000:26:00.0: amdgpu: ring comp_1.1.0 timeout, signaled seq=813605"
    warning = "amdgpu 0000:26:00.0: amdgpu: GPU is throttled: PROCHOT"
    after = look(kernel_log=log(*OLD, "docker0: port 1 entered blocking state", fatal, warning, warning))
    assert seen(after) == [
        (Validity.KERNEL_FAULT, f"n1: gpu-hang: {fatal}"),
        (Validity.KERNEL_WARNING, f"n1: gpu-throttled (2 times): {warning}"),
    ]


def test_an_empty_log_that_filled_is_all_new() -> None:
    assert [kind for kind, _ in seen(look(), look(kernel_log=log()))] == [Validity.KERNEL_FAULT]


def test_a_log_that_ran_over_is_read_as_new_and_said_to_have_run_over() -> None:
    after = look(kernel_log=log("x", "amdgpu 0000:05:00.0: amdgpu: GPU reset begin!"))
    assert [kind for kind, _ in seen(after)] == [Validity.UNWATCHED, Validity.KERNEL_FAULT]


@pytest.mark.parametrize(
    "after", [look(kernel_log=Unknown("may not be read")), look(kernel_log=log(*OLD, source="/var/log/kern.log"))]
)
def test_a_log_that_cannot_be_compared_is_not_known(after: Vitals) -> None:
    ((kind, detail),) = seen(after)
    assert kind is Validity.UNWATCHED
    assert detail.startswith("n1: kernel log")


def test_a_restart_is_all_there_is_to_say() -> None:
    after = look(boot_id="b2", ras={}, kernel_log=log())
    assert seen(after) == [(Validity.REBOOTED, "n1 was restarted during the attempt")]


def test_a_look_that_failed_is_said_and_not_passed() -> None:
    assert seen(None) == [(Validity.UNWATCHED, "n1 could not be looked at after it ended")]
    found = changes(SEAT, None, look())
    assert [reason.detail for reason in found] == ["n1 could not be looked at before it started"]


PORTS: Mapping[str, Mapping[str, int]] = {
    "mlx5_0:1": {"packet_seq_err": 3, "symbol_error": 0, "out_of_sequence": 5, "port_rcv_data": 10, "req_cqe_error": 2}
}
NETS: Mapping[str, Mapping[str, int]] = {"rail0": {"rx_crc_errors": 0, "rx_dropped": 4, "rx_packets": 100}}


def test_counters_of_errors_spoil_and_those_of_losses_are_noted() -> None:
    ports = {
        "mlx5_0:1": {
            "packet_seq_err": 44, "symbol_error": 1, "out_of_sequence": 9, "port_rcv_data": 99999, "req_cqe_error": 8,
        }
    }  # fmt: skip
    nets = {"rail0": {"rx_crc_errors": 43, "rx_dropped": 5, "rx_packets": 9999}}
    assert seen(look(ports=ports, interfaces=nets), look(ports=PORTS, interfaces=NETS)) == [
        (Validity.FABRIC_LOSSES, "n1 mlx5_0:1 out_of_sequence +4"),
        (Validity.FABRIC_ERRORS, "n1 mlx5_0:1 packet_seq_err +41"),
        (Validity.FABRIC_ERRORS, "n1 mlx5_0:1 symbol_error +1"),
        (Validity.FABRIC_ERRORS, "n1 rail0 rx_crc_errors +43"),
        (Validity.FABRIC_LOSSES, "n1 rail0 rx_dropped +1"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("link_downed", Validity.FABRIC_ERRORS),
        ("link_error_recovery", Validity.FABRIC_ERRORS),
        ("local_ack_timeout_err", Validity.FABRIC_ERRORS),
        ("rx_icrc_encapsulated", Validity.FABRIC_ERRORS),
        ("excessive_buffer_overrun_errors", Validity.FABRIC_LOSSES),
        ("seq_err_naks_rcvd", Validity.FABRIC_LOSSES),
        ("to_retransmits", Validity.FABRIC_LOSSES),
        ("rnr_nak_retry_err", Validity.FABRIC_LOSSES),
        ("port_xmit_discards", Validity.FABRIC_LOSSES),
        ("roce_adp_retrans", Validity.FABRIC_LOSSES),
        ("resp_cqe_flush_error", None),
        ("np_ecn_marked_roce_packets", None),
        ("rx_nohandler", None),
        ("port_xmit_wait", None),
        ("lifespan", None),
    ],
)
def test_what_a_counter_means_is_in_its_name(name: str, kind: Validity | None) -> None:
    found = seen(look(ports={"d:1": {name: 7}}), look(ports={"d:1": {name: 0}}))
    assert found == ([(kind, f"n1 d:1 {name} +7")] if kind else [])


def test_counters_that_were_set_back_tell_what_they_counted_since() -> None:
    found = seen(look(ports={"d:1": {"symbol_error": 2}}), look(ports={"d:1": {"symbol_error": 50}}))
    assert found == [(Validity.FABRIC_ERRORS, "n1 d:1 symbol_error +2")]


def test_a_port_that_is_gone_spoils() -> None:
    assert seen(look(), look(ports=PORTS)) == [(Validity.FABRIC_ERRORS, "n1 mlx5_0:1 is gone")]


def test_many_reasons_of_a_kind_are_counted() -> None:
    many = {f"d{number:02}:1": {"symbol_error": number} for number in range(1, 30)}
    none = {device: {"symbol_error": 0} for device in many}
    found = seen(look(ports=many), look(ports=none))
    assert len(found) == DETAILS + 1
    assert found[-1] == (Validity.FABRIC_ERRORS, f"n1: {29 - DETAILS} more")


def test_a_clock_that_was_set_is_noted_and_a_slow_look_is_not() -> None:
    ms = 1_000_000
    before = look(clock=Clock(0, 5 * ms))
    assert seen(look(clock=Clock(1200 * ms, 5 * ms)), before) == [
        (Validity.CLOCK_STEPPED, "n1: its clock moved by +1.2 s against ours")
    ]
    assert seen(look(clock=Clock(1200 * ms, 900 * ms)), before) == []
    assert seen(look(clock=None), before) == []
