"""Laws of reading a probe: no bytes crash it, none that a terminal acts on come through, and unknown stays unknown."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.smi import COMMANDS
from console.fleet.probe.survey import AREAS, read, script_values
from console.fleet.redaction import Redactor
from console.fleet.script import Section, by_name, compose, sections
from console.fleet.telemetry import Decoder
from console.model.facts import HostFacts, Known

HOST = Host(name="node", address="local", model_cache="/data", scratch="/scratch")
NONCE = "0123456789abcdef0123456789abcdef"
EVIL = "\x1b]52;c;aGk=\x07\x1b[2J\u202e\u200b\x9b31m\x00"


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from texts(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from texts(item)


def facts_by_path(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            item = getattr(value, name)
            if isinstance(item, Known) and name == "gpus":
                for gpu in item.value:
                    yield from facts_by_path(gpu, f"{path}.{gpu.bdf}")
            elif type(item).__name__ in ("System", "Driver"):
                yield from facts_by_path(item, f"{path}.{name}")
            else:
                yield f"{path}.{name}", item


def assert_harmless(facts: HostFacts) -> None:
    for text in texts(facts):
        assert not any(ord(char) < 32 and char not in "\t\n" for char in text), text
        assert not any(char in text for char in "\x1b\x7f\x9b\u202e\u200b\u2066"), text


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory, machine_class: Any) -> bytes:
    """The bytes that the script prints on a complete server, with every area answering."""
    machine = machine_class(tmp_path_factory.mktemp("machine") / "root")
    machine.driver()
    machine.gpus(2, partition="DPX")
    machine.command("kernel.dmesg", "kern  :err   : 2024-10-07T12:00:00,000000+00:00 amdgpu: ring timeout\n" * 5)
    machine.command("smi.list", json.dumps([{"gpu": 0, "bdf": "0000:0c:00.0", "hip_id": 1}]))
    machine.command("smi.metric", json.dumps([{"gpu": 0, "throttle": {"ppt_violation_status": "NOT ACTIVE"}}]))
    machine.write("/sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n")
    machine.write("/sys/class/net/ens1/device/uevent", "DRIVER=mlx5_core\n")
    machine.write("/sys/class/kfd/kfd/proc/4242/vram_40001", "1073741824\n")
    machine.model("/data", "amd/model", [("model-1.safetensors", 5)])
    host = msgspec.structs.replace(HOST, root=str(machine.root))
    script = compose(AREAS, script_values(host, ["amd/model"], tools=True), NONCE)
    return asyncio.run(LocalLink(host).run(script, timeout_s=60)).stdout


def facts_of(output: bytes) -> HostFacts:
    return read(by_name(sections(output, NONCE)), HOST, ["amd/model"])


NAMES = [
    "host",
    "host.os",
    "host.meminfo",
    "host.kfd",
    "host.limits",
    "host.iommu",
    "host.id",
    "host.cpuinfo",
    "host.numa",
    "host.governors",
    "host.idle",
    "docker",
    "docker.context",
    "docker.sudo",
    "mounts",
    "storage.docker_root",
    "storage.scratch",
    "storage.shared_memory",
    "storage.model_cache",
    "model.models--amd--model",
    "net.rdma",
    "net.nic",
    "net.addresses",
    "net.providers",
    "net.listening",
    "kernel.dmesg",
    "kernel.journal",
    "kernel.file.kern.log",
    "driver",
    "driver.dkms",
    "dev.stat",
    "gpu.kfd",
    "gpu.links",
    "pci",
    "gpu.0000:0c:00.0",
    "clock.begin",
    "smi.rocm",
]
SECTION = st.builds(
    Section,
    name=st.just(""),
    source=st.sampled_from(["/sys/x", "a command", "/sys/bus/pci/devices/0000:0c:00.0"]),
    exit=st.sampled_from([None, 0, 0, 0, 1, -1, 124, 137]),
    data=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    "=/sys/bus/pci/devices/0000:0c:00.0/vendor 0x1002",
                    "=/sys/bus/pci/devices/0000:0c:00.0/device 0x74a1",
                    "+/sys/bus/pci/devices/0000:0c:00.0",
                    "+/sys/module/amdgpu",
                    "@log",
                    "@errors",
                    f"product_name:{EVIL}",
                    f"ras:ras/{EVIL}_err_count",
                    "ras/umc_err_count:ue: 99999999999999999999",
                    f"device:{EVIL}",
                    f"drm:{EVIL}",
                    "1/properties:simd_count 99999999999999999999",
                    "1/properties:location_id 99999999999999999999",
                    "1 11 2 15 5",
                    "[    1.0] " + EVIL,
                    "9999-12-31T23:59:59+00:00 " + EVIL,
                    f"node0/cpulist:0-99999999999999999999{EVIL}",
                    '[{"gpu": 0, "bdf": "0000:0c:00.0", "asic": {"market_name": "' + "\\u001b[2J" + '"}}]',
                ]
            ),
            max_size=12,
        ).map(lambda lines: "\n".join(lines).encode()),
    ),
    why=st.sampled_from(["", "", "", "absent", "denied", EVIL]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*NAMES, *COMMANDS]), SECTION, max_size=20))
def test_no_answer_crashes_the_parsers_and_nothing_hostile_comes_through(found: dict[str, Section]) -> None:
    named = {name: msgspec.structs.replace(section, name=name) for name, section in found.items()}
    assert_harmless(read(named, HOST, ["amd/model"]))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_an_answer_that_is_cut_off_loses_facts_and_changes_none(answer: bytes, data: st.DataObject) -> None:
    whole = dict(facts_by_path(facts_of(answer)))
    cut = facts_of(answer[: data.draw(st.integers(0, len(answer)))])
    for path, fact in facts_by_path(cut):
        if isinstance(fact, Known):
            assert fact == whole.get(path), path


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_bytes_put_anywhere_into_an_answer_do_no_harm(answer: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(answer)))
    junk = data.draw(st.one_of(st.binary(max_size=40), st.just(EVIL.encode())))
    assert_harmless(facts_of(answer[:place] + junk + answer[place + data.draw(st.integers(0, 60)) :]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.from_regex(rb"[gbtxy0-9] ?[0-9a-f:. -]{0,50}", fullmatch=True))))
def test_no_line_crashes_the_reader_of_the_stream(lines: list[bytes]) -> None:
    decoder = Decoder()
    for line in lines:
        beat = decoder.feed(line)
        if beat is not None:
            assert all(char.isprintable() for text in texts(beat) for char in text)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=10))
def test_redaction_never_crashes_and_keeps_the_lines(data: bytes, name: str) -> None:
    assert Redactor(name, name).data(data).count(b"\n") == data.count(b"\n")


def test_a_complete_answer_is_complete(answer: bytes) -> None:
    facts = facts_of(answer)
    unknown = {path for path, fact in facts_by_path(facts) if path.startswith((".driver", ".0000:"))}
    assert unknown
    assert isinstance(facts.gpus, Known)
    assert len(facts.gpus.value) == 4
    assert isinstance(facts.kernel_log, Known)


def test_the_bytes_of_every_shared_capture_do_no_harm_as_any_section(shared: Path) -> None:
    for path in sorted((shared / "fixtures").glob("*/*")):
        if path.is_file() and path.stat().st_size < 2_000_000:
            data = path.read_bytes()
            found = {name: Section(name, "x", 0, data) for name in (*NAMES, *COMMANDS)}
            assert_harmless(read(found, HOST, ["amd/model"]))
