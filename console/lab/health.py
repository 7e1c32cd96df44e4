"""Failures that show in a host's files and captured commands, each by its name."""

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from console.lab import captured, cpu_files, gpu_files, hub, kernel_text, network, roots, smi
from console.lab.specs import MIB

if TYPE_CHECKING:
    from console.lab.machines import Machine

FOREIGN_PID = 31337
BAD_GPU = 2
"""The GPU that most failures befall."""
MISSING_GPU = 5
_OF_THE_DRIVER = (
    "available_", "current_compute", "current_memory", "gpu_", "mem_", "pcie_replay", "power_dpm", "pp_dpm", "product_",
    "serial_number", "unique_id", "vbios", "xgmi_physical",
)  # fmt: skip
"""How the names of files begin that are there only while amdgpu drives a device."""
OTHER_DRIVER = "6.12.12"
SKEW_S = 93
DOWN_RAIL = 3
TRAINING_PORTS = (6000, 6020, 29500)
"""Where Megatron-LM's scripts and torchrun meet unless they are told otherwise."""


def afflict(machine: "Machine", name: str) -> None:
    """Give a host a failure. KeyError for a name that is none."""
    if name in kernel_text.FAULTS:
        log(machine, kernel_text.fault(name, BAD_GPU))
    else:
        _ACTS[name](machine)


def log(machine: "Machine", lines: str) -> None:
    """Add lines to the kernel log."""
    path = f"{captured.FOLDER}/kernel.dmesg"
    machine.replace(path, machine.read(path) + lines)


def _file(name: str, text: str, gpu: int = BAD_GPU) -> Callable[["Machine"], None]:
    return lambda machine: machine.replace(f"{gpu_files.device(gpu)}/{name}", text)


def _lock_docker(machine: "Machine") -> None:
    machine.docker_allowed = False
    (machine.root / "var/run/docker.sock").chmod(0)
    machine.replace(f"{captured.FOLDER}/host.id", captured.account(docker=False))


def _unload_driver(machine: "Machine") -> None:
    for path in ("dev/kfd", "dev/dri", "sys/class/kfd", "sys/module/amdgpu"):
        place = machine.root / path
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
    for gpu in range(machine.kind.gpus):
        device = machine.root / gpu_files.device(gpu)
        (device / "driver").unlink()
        text = machine.read(f"{gpu_files.device(gpu)}/uevent")
        machine.replace(f"{gpu_files.device(gpu)}/uevent", text.replace("DRIVER=amdgpu\n", ""))
        for entry in device.iterdir():
            if entry.is_dir() and entry.name in ("drm", "fw_version", "hwmon", "ras", "xgmi_hive_info"):
                shutil.rmtree(entry)
            elif entry.name.startswith(_OF_THE_DRIVER):
                entry.unlink()
    for command in (machine.root / captured.FOLDER).glob("smi.*"):
        command.unlink()


def _foreign_process(machine: "Machine") -> None:
    proc = machine.root / f"sys/class/kfd/kfd/proc/{FOREIGN_PID}"
    proc.mkdir(parents=True, exist_ok=True)
    machine.replace(f"proc/{FOREIGN_PID}/comm", "someone-elses\n")
    machine.replace(f"proc/{FOREIGN_PID}/status", "Name:\tsomeone-elses\nUid:\t1042\t1042\t1042\t1042\n")
    machine.sensors.foreign.add(0)
    machine.sensors.show()


def _cut_models(machine: "Machine") -> None:
    for model in roots.MODELS:
        shards = hub.shard_names(model)
        base = machine.hub / hub.folder(model)
        link = base / "snapshots" / hub.revision_of(model) / shards[min(1, len(shards) - 1)]
        blob = link.resolve()
        link.unlink()
        blob.rename(blob.with_name(f"{blob.name}.incomplete"))


def _remove_gpu(machine: "Machine") -> None:
    gpu, root = MISSING_GPU, machine.root
    node = machine.kind.nodes + gpu
    for path in (
        gpu_files.device(gpu),
        f"{gpu_files.TOPOLOGY}/nodes/{node}",
        f"sys/class/drm/card{gpu + 1}",
        f"sys/class/drm/renderD{128 + gpu}",
    ):
        shutil.rmtree(root / path)
    (root / f"dev/dri/renderD{128 + gpu}").unlink()
    (root / f"dev/dri/card{gpu + 1}").unlink()
    for link in root.glob(f"{gpu_files.TOPOLOGY}/nodes/*/io_links/*"):
        if re.search(rf"^node_to {node}$", (link / "properties").read_text(), re.MULTILINE):
            shutil.rmtree(link)
    log(machine, kernel_text.fault("log-gpu-lost", gpu))


def _other_driver(machine: "Machine") -> None:
    machine.replace("sys/module/amdgpu/version", f"{OTHER_DRIVER}\n")
    machine.replace(f"{captured.FOLDER}/driver.dkms", captured.dkms(machine.kind, OTHER_DRIVER))


def _split_nodes(machine: "Machine") -> None:
    count = 8 if machine.kind.nodes != 8 else 2
    for path, text in cpu_files.nodes(machine.kind, count):
        machine.replace(path, text)


def _partition(machine: "Machine") -> None:
    """One GPU in DPX: two KFD nodes of half its units each, on one device."""
    kind, gpu = machine.kind, BAD_GPU
    _file("current_compute_partition", "DPX\n")(machine)
    unique = gpu_files.unique_id(machine.name, gpu)
    for half, node in enumerate((kind.nodes + gpu, kind.nodes + kind.gpus)):
        keys = gpu_files.gpu_keys(kind, gpu)
        keys |= {"simd_count": keys["simd_count"] // 2, "num_xcc": 4, "unique_id": unique}
        keys |= {"location_id": keys["location_id"] + half, "drm_render_minor": 128 + (gpu if not half else kind.gpus)}
        base = f"{gpu_files.TOPOLOGY}/nodes/{node}"
        machine.replace(f"{base}/properties", gpu_files.properties(keys))
        machine.replace(f"{base}/gpu_id", f"{gpu_files.kfd_id(machine.name, gpu) + half}\n")
        bank = {"heap_type": 1, "size_in_bytes": kind.gpu.vram_bytes // 2, "flags": 0, "width": 8192}
        machine.replace(f"{base}/mem_banks/0/properties", gpu_files.properties(bank))


def _lower_cap(machine: "Machine") -> None:
    machine.replace(f"{gpu_files.sensors(BAD_GPU)}/power1_cap", f"{machine.kind.gpu.power_w * 7 // 10}000000\n")


def _heat(machine: "Machine") -> None:
    machine.sensors.extra_c[BAD_GPU] = 60
    machine.sensors.show()


def _throttle(machine: "Machine") -> None:
    machine.sensors.throttling[BAD_GPU] = "ppt"
    machine.replace(f"{captured.FOLDER}/smi.metric", smi.metric(machine.kind, {BAD_GPU: "ppt"}))


def _pages(machine: "Machine") -> None:
    _file("ras/gpu_vram_bad_pages", "0x00007f80 : 0x00001000 : P\n0x00007f81 : 0x00001000 : P\n")(machine)
    machine.replace(f"{captured.FOLDER}/smi.pages", smi.pages(machine.kind, {BAD_GPU: 2}))


def _rail(machine: "Machine") -> str:
    return machine.kind.nic.rdma.format(n=DOWN_RAIL)


def _port_down(machine: "Machine") -> None:
    port = f"sys/class/infiniband/{_rail(machine)}/ports/1"
    machine.replace(f"{port}/state", "1: DOWN\n")
    machine.replace(f"{port}/phys_state", "3: Disabled\n")
    nic = next((nic for nic in machine.fabric.nics(machine.name) if nic.rail == DOWN_RAIL), None)
    if nic is not None:
        machine.replace(f"sys/class/net/{nic.name}/operstate", "down\n")
        machine.replace(f"sys/class/net/{nic.name}/carrier", "0\n")


def _port_errors(machine: "Machine") -> None:
    base = f"sys/class/infiniband/{_rail(machine)}/ports/1"
    nic = next((nic for nic in machine.fabric.nics(machine.name) if nic.rail == DOWN_RAIL), None)
    paths = [f"{base}/hw_counters/packet_seq_err", f"{base}/counters/symbol_error"]
    if nic is not None:
        paths.append(f"sys/class/net/{nic.name}/statistics/rx_crc_errors")
    for number, path in enumerate(paths):
        machine.replace(path, f"{int(machine.read(path).strip() or 0) + 41 + number}\n")


def _throttle_now(reason: str, *gpus: int) -> Callable[["Machine"], None]:
    def act(machine: "Machine") -> None:
        machine.sensors.throttling_now |= dict.fromkeys(gpus or range(machine.kind.gpus), reason)
        machine.sensors.show()

    return act


def _count_up(block: str, uncorrectable: int, correctable: int) -> Callable[["Machine"], None]:
    def act(machine: "Machine") -> None:
        path = f"{gpu_files.device(BAD_GPU)}/ras/{block}_err_count"
        found = re.findall(r"\d+", machine.read(path))
        machine.replace(path, f"ue: {int(found[0]) + uncorrectable}\nce: {int(found[1]) + correctable}\n")

    return act


def _log_now(name: str) -> Callable[["Machine"], None]:
    return lambda machine: log(machine, kernel_text.fault(name, BAD_GPU, timedelta()))


def _down_rail(machine: "Machine") -> network.Nic:
    return next(nic for nic in machine.fabric.nics(machine.name) if nic.rail == DOWN_RAIL)


def _lower_mtu(machine: "Machine") -> None:
    machine.replace(f"sys/class/net/{_down_rail(machine).name}/mtu", "1500\n")


def _unshare(machine: "Machine") -> None:
    link = machine.root / roots.SHARED.lstrip("/")
    if link.is_symlink():
        link.unlink()
        (link / "huggingface/hub").mkdir(parents=True)


def _take_ports(machine: "Machine") -> None:
    for port in TRAINING_PORTS:
        machine.fabric.listen(machine.name, port)
    machine.replace("proc/net/tcp", network.listening((22, *TRAINING_PORTS)))


_ACTS: dict[str, Callable[["Machine"], object]] = {
    "no-docker-permission": _lock_docker,
    "kfd-missing": _unload_driver,
    "numa-balancing": lambda machine: machine.replace("proc/sys/kernel/numa_balancing", "1\n"),
    "busy-gpu": _foreign_process,
    "model-missing": lambda machine: shutil.rmtree(machine.hub),
    "model-incomplete": _cut_models,
    "disk-full": lambda machine: machine.replace(f"{captured.FOLDER}/df", captured.df(512 * MIB)),
    "no-image": lambda machine: machine.engine.images.all.clear(),
    "no-boot": lambda machine: None,
    "ras-uncorrectable": _file("ras/umc_err_count", "ue: 2\nce: 0\n"),
    "ras-correctable": _file("ras/gfx_err_count", "ue: 0\nce: 17\n"),
    "xgmi-errors": _file("ras/xgmi_wafl_err_count", "ue: 1\nce: 4\n"),
    "bad-pages": _pages,
    "pcie-width": _file("current_link_width", "8\n"),
    "pcie-speed": _file("current_link_speed", "16.0 GT/s PCIe\n"),
    "pcie-errors": _file("aer_dev_nonfatal", gpu_files.aer("nonfatal", 3)),
    "power-cap": _lower_cap,
    "hot-gpu": _heat,
    "throttle": _throttle,
    "gpu-missing": _remove_gpu,
    "driver-mixed": _other_driver,
    "wrong-nps": _split_nodes,
    "wrong-partition": _partition,
    "memlock-low": lambda machine: machine.replace("proc/self/limits", roots.limits("67108864")),
    "rdma-port-down": _port_down,
    "rdma-errors": _port_errors,
    "mtu-mixed": _lower_mtu,
    "unshared-cache": _unshare,
    "port-taken": _take_ports,
    "throttles": _throttle_now("socket_thermal", BAD_GPU),
    "power-limited": _throttle_now("ppt"),
    "counts-uncorrectable": _count_up("umc", 1, 0),
    "counts-correctable": _count_up("gfx", 0, 5),
    "logs-fault": _log_now("log-ras"),
    "logs-warning": _log_now("log-throttled"),
    "clock-skew": lambda machine: machine.set_ahead(SKEW_S),
}
