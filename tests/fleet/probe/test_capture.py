"""A probe kept as a file: the same facts again, nothing that names anybody when asked, and no trust in the file."""

import io
import json
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.fleet.capture import Bundle, CaptureError, capture, facts_from, load, pack, write
from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.redaction import Redactor
from console.model.facts import NOT_READ, HostFacts, Known

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

MODEL = "amd/Llama-3.1-8B-Instruct-FP8-KV"


async def bundle_of(machine: "Machine", *, redact: bool = False, cache: str = "/data/huggingface") -> Bundle:
    host = Host(name="node01", address="local", root=str(machine.root), model_cache=cache)
    return await capture(LocalLink(host), host, models=[MODEL], redact=redact)


def same(facts: HostFacts) -> HostFacts:
    """Without what says when and from where they were read."""
    return msgspec.structs.replace(facts, read_at_ns=0, origin="", clock=NOT_READ)


async def test_a_bundle_gives_the_facts_that_the_host_gave(mi300x: "Machine", tmp_path: Path) -> None:
    mi300x.model("/data/huggingface", MODEL, [("model.safetensors", 9)])
    mi300x.command("kernel.dmesg", "kern  :err   : 2024-10-07T12:00:00,000000+00:00 amdgpu: ring timeout\n")
    live = await mi300x.facts(models=[MODEL], model_cache="/data/huggingface")
    path = tmp_path / "node01.tar.gz"
    write(await bundle_of(mi300x), path)
    again = facts_from(path)
    assert same(again) == msgspec.structs.replace(same(live), docker=again.docker)
    assert again.origin == str(path)
    assert isinstance(again.models, Known)
    assert again.models.value[0].complete
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*"))  # noqa: ASYNC240 - a folder of the test


async def test_a_bundle_tells_what_it_is_and_holds_the_bytes_as_they_came(mi300x: "Machine") -> None:
    bundle = await bundle_of(mi300x)
    assert pack(bundle) == pack(bundle)
    with tarfile.open(fileobj=io.BytesIO(pack(bundle)), mode="r:gz") as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        manifest = json.loads(file.read())
        assert (manifest["format"], manifest["host"], manifest["redacted"]) == (1, "node01", False)
        assert manifest["product"]
        entry = next(entry for entry in manifest["entries"] if entry["name"] == "host.os")
        file = tar.extractfile(entry["file"])
        assert file is not None
        assert file.read() == (mi300x.root / "etc/os-release").read_bytes().rstrip(b"\n") + b"\n"


SECRETS = {
    "/proc/sys/kernel/hostname": "smc300x-01.rack2.example\n",
    "/sys/class/infiniband/mlx5_0/node_guid": "b83f:d203:0011:2233\n",
    "/sys/class/infiniband/mlx5_0/ports/1/gids/3": "fe80:0000:0000:0000:ba3f:d2ff:fe11:2233\n",
    "/sys/class/net/ens1/device/uevent": "DRIVER=mlx5_core\n",
    "/sys/class/net/ens1/address": "b8:3f:d2:11:22:33\n",
    "/sys/class/net/ens1/operstate": "up\n",
}
NAMED = (
    b"692403000000",
    b"692403000007",
    b"000000000000abc0",
    b"smc300x-01",
    b"rack2.example",
    b"b83f:d203",
    b"ba3f:d2ff",
    b"b8:3f:d2:11:22:33",
    b"10.1.0.41",
    b"fd00:aaaa",
    b"hf_abcdefghijkl",
    b"11112222-3333",
)


async def redacted_and_not(machine: "Machine") -> tuple[Bundle, Bundle]:
    for path, text in SECRETS.items():
        machine.write(path, text)
    machine.write("/proc/cmdline", "root=UUID=11112222-3333-4444-5555-666677778888 ro iommu=pt token=hf_abcdefghijkl\n")
    machine.command("net.addresses", "2: ens1    inet 10.1.0.41/24 x\n2: ens1    inet6 fd00:aaaa::41/64 x\n")
    machine.command(
        "kernel.dmesg",
        "kern  :info  : 2024-10-07T12:00:00,000000+00:00 smc300x-01: link b8:3f:d2:11:22:33 to 10.1.0.41\n"
        "kern  :info  : 2024-10-07T12:00:00,000000+00:00 amdgpu: serial 692403000000\n",
    )
    return await bundle_of(machine, redact=True), await bundle_of(machine)


async def test_a_redacted_bundle_names_no_machine_network_or_person(mi300x: "Machine") -> None:
    hidden, plain = await redacted_and_not(mi300x)
    text = b"\n".join(section.data for section in plain.sections)
    assert all(name in text for name in NAMED)
    text = b"\n".join(section.data for section in hidden.sections) + msgspec.json.encode(hidden.manifest)
    assert [name for name in NAMED if name in text] == []
    assert b"node01" not in msgspec.json.encode(hidden.manifest)
    assert hidden.manifest.redacted


async def test_a_redacted_bundle_keeps_every_other_fact(mi300x: "Machine", tmp_path: Path) -> None:
    hidden, plain = await redacted_and_not(mi300x)
    for name, bundle in (("hidden", hidden), ("plain", plain)):
        write(bundle, tmp_path / name)
    one, other = facts_from(tmp_path / "hidden"), facts_from(tmp_path / "plain")

    def known(fact: object) -> Any:
        assert isinstance(fact, Known), fact
        return fact.value

    assert known(one.system.kernel) == known(other.system.kernel)
    assert one.driver == other.driver
    assert known(one.nics)[0].addresses == ("192.0.2.2/24", "2001:db8::2/64")
    assert known(one.rdma)[0].ports[0].gid3 == "2001:db8::1"
    left, right = known(one.gpus), known(other.gpus)
    assert len({known(gpu.unique_id) for gpu in left}) == 8
    for gpu, twin in zip(left, right, strict=True):
        for field in gpu.__struct_fields__:
            if field not in ("unique_id", "serial_number"):
                assert getattr(gpu, field) == getattr(twin, field), field


async def test_an_account_in_the_path_of_the_cache_is_replaced_and_the_models_are_still_found(
    mi300x: "Machine", tmp_path: Path
) -> None:
    mi300x.model("/home/ops/cache", MODEL, [("model.safetensors", 9)])
    bundle = await bundle_of(mi300x, redact=True, cache="/home/ops/cache")
    assert b"ops" not in b"\n".join(section.data + section.source.encode() for section in bundle.sections)
    write(bundle, tmp_path / "x")
    facts = facts_from(tmp_path / "x")
    assert isinstance(facts.models, Known)
    assert facts.models.value[0].complete
    assert isinstance(facts.model_cache, Known)
    assert facts.model_cache.value.path == "/home/user/cache"


def test_versions_addresses_of_devices_and_times_are_left_alone() -> None:
    redactor = Redactor("node01", "ops")
    for line in (
        b"fw_ver:229.0.155.0",
        b"driver version: 6.14.14.1",
        b"0000:0c:00.0 amdgpu",
        b"at 10:17:15 on 127.0.0.1 and ::1",
        b"=/sys/bus/pci/devices/0000:0c:00.0/vendor 0x1002",
        b"2/properties:location_id 2560",
        b"\xff\xfe\x00 no text",
    ):
        assert redactor.data(line) == line
    assert redactor.data(b"node01 node012 ops") == b"host node012 user"
    assert redactor.data(b"10.0.0.1 10.0.0.2 10.0.0.1") == b"192.0.2.2 192.0.2.3 192.0.2.2"


def tarred(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


MANIFEST: dict[str, object] = {"format": 1, "product": "x", "host": "h", "taken_at_ns": 0, "redacted": False}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a bundle"),
        (b"no archive", "not a bundle"),
        (tarred({"x": b"y"}), "manifest.json"),
        (tarred({"manifest.json": b"{"}), "not a bundle"),
        (tarred({"manifest.json": json.dumps({**MANIFEST, "format": 99}).encode()}), "newer instinct"),
        (
            tarred(
                {
                    "manifest.json": json.dumps(
                        {**MANIFEST, "entries": [{"name": "a", "source": "b", "exit": 0, "file": "/etc/passwd"}]}
                    ).encode()
                }
            ),
            "/etc/passwd",
        ),
        (tarred({"big": bytes(70 << 20)}), "64 MiB"),
    ],
    ids=["empty", "text", "no manifest", "half", "newer", "a file of this machine", "a bomb"],
)
def test_what_is_no_bundle_is_refused_with_the_reason(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=says):
        load(path)


def test_a_bundle_that_is_cut_short_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tarred({"manifest.json": json.dumps(MANIFEST).encode(), "a": bytes(range(256)) * 40})[:-30])
    with pytest.raises(CaptureError):
        load(path)
    with pytest.raises(CaptureError):
        facts_from(tmp_path / "absent.tar.gz")


async def test_hostile_text_in_a_bundle_is_as_clean_as_from_a_host(mi300x: "Machine", tmp_path: Path) -> None:
    bundle = await bundle_of(mi300x)
    evil = tuple(
        msgspec.structs.replace(section, source="\x1b[2J" + section.source, why="\x1b]0;x\x07")
        for section in bundle.sections
    )
    manifest = msgspec.structs.replace(bundle.manifest, host="\x1b[31mnode")
    write(Bundle(manifest, evil), tmp_path / "evil")
    facts = facts_from(tmp_path / "evil")
    assert facts.host == "node"
    assert "\x1b" not in msgspec.json.encode(facts).decode()
    assert "\\u001b" not in msgspec.json.encode(facts).decode()


def test_an_empty_folder_is_a_host_of_which_nothing_is_known(tmp_path: Path) -> None:
    facts = facts_from(tmp_path)
    assert facts.host == tmp_path.name
    assert facts.gpus != Known((), "/sys/bus/pci/devices") or not isinstance(facts.driver.amdgpu_loaded, Known)
    assert not isinstance(facts.system.kernel, Known)
