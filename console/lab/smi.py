"""What amd-smi and rocm-smi of a played host would print, in the JSON shapes of ROCm 6.3 and of 7.x.

Up to ROCm 6.4 a document is a list of GPUs, from 7.0 on an object with `gpu_data`. Ids of one host's GPUs stand as
placeholders, so that the hosts of a kind share one text.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from console.lab import gpu_files
from console.lab.specs import MIB, Kind

MARK = "LAB-UNIQUE-ID-{gpu}"
"""Stands for a GPU's unique id in hexadecimal."""

REASONS = ("prochot", "ppt", "socket_thermal", "vr_thermal", "hbm_thermal")


def wrapped(kind: Kind) -> bool:
    """Whether this host's amd-smi puts GPUs into `gpu_data`: from ROCm 7.0 on."""
    return int(kind.rocm.partition(".")[0]) >= 7


def document(kind: Kind, gpus: list[dict[str, Any]]) -> str:
    """A whole answer in the shape of the host's release."""
    return json.dumps({"gpu_data": gpus} if wrapped(kind) else gpus, indent=4) + "\n"


def common(kind: Kind) -> Iterator[tuple[str, str]]:
    """Answers, by section, that hold no ids."""
    yield "smi.version", version(kind)
    yield "smi.metric", metric(kind)
    yield "smi.firmware", document(kind, [_firmware(gpu) for gpu in range(kind.gpus)])
    yield "smi.pages", pages(kind)
    links = [{"gpu": gpu, "bdf": gpu_files.bdf(gpu), "link_status": ["U"] * 7 + ["X"]} for gpu in range(kind.gpus)]
    yield "smi.xgmi", document(kind, links)
    yield "smi.static", document(kind, [_static(kind, gpu) for gpu in range(kind.gpus)])
    yield "smi.list", document(kind, [_listed(kind, gpu) for gpu in range(kind.gpus)])
    yield "smi.rocm", json.dumps({f"card{gpu}": _card(kind, gpu) for gpu in range(kind.gpus)}) + "\n"


def with_ids(text: str, kind: Kind, host: str) -> str:
    """An answer with the ids of a host's GPUs."""
    for gpu in range(kind.gpus):
        text = text.replace(MARK.format(gpu=gpu), f"{gpu_files.unique_id(host, gpu):016X}")
    return text


def version(kind: Kind) -> str:
    """`amd-smi version --json`."""
    if wrapped(kind):
        tool, library = "26.2.0+021c61fc", "26.2.0"
        more = {"rocm_version": kind.rocm, "amdgpu_version": kind.driver, "amd_hsmp_driver_version": "N/A"}
    else:
        tool, library = "24.7.1+b446d6c-dirty", "24.7.1.0"
        more = {"rocm_version": kind.rocm}
    return json.dumps([{"tool": "AMDSMI Tool", "version": tool, "amdsmi_library_version": library, **more}]) + "\n"


def _unit(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}


def metric(kind: Kind, throttled: Mapping[int, str] | None = None) -> str:
    """`amd-smi metric --json` of idle GPUs. `throttled`: reason by GPU."""
    return document(kind, [_metric(kind, gpu, (throttled or {}).get(gpu, "")) for gpu in range(kind.gpus)])


def _metric(kind: Kind, gpu: int, reason: str) -> dict[str, Any]:
    spec = kind.gpu
    total, used = spec.vram_bytes // MIB, gpu_files.IDLE_USED // MIB
    violations: dict[str, Any] = {"accumulation_counter": 3808991 + gpu}
    for name in REASONS:
        violations[f"{name}_accumulated"] = {"ppt": 585613, "socket_thermal": 2190}.get(name, 0)
    for name in REASONS:
        active = name == reason
        violations[f"{name}_violation_status"] = "ACTIVE" if active else "NOT ACTIVE"
        violations[f"{name}_violation_activity"] = _unit(37 if active else 0, "%") if wrapped(kind) else 37 * active
    if wrapped(kind):
        # an idle GPU of ROCm 7 shows these as active
        violations["low_utilization_violation_status"] = {f"xcp_{xcp}": ["ACTIVE"] * 8 for xcp in range(1)}
    clock = {f"gfx_{n}": _clock(gpu_files.IDLE_SCLK_MHZ, 500, spec.clock_mhz) for n in range(8)}
    return {
        "gpu": gpu,
        "usage": {
            "gfx_activity": _unit(0, "%"), "umc_activity": _unit(0, "%"), "mm_activity": "N/A",
            "vcn_activity": [_unit(0, "%")] * 4, "jpeg_activity": ["N/A"] * 32,
        },
        "power": {
            "socket_power": _unit(gpu_files.idle_power_w(gpu), "W"), "gfx_voltage": "N/A", "soc_voltage": "N/A",
            "mem_voltage": "N/A", "throttle_status": "N/A", "power_management": "ENABLED",
        },
        "clock": {**clock, "mem_0": _clock(gpu_files.IDLE_MCLK_MHZ, 900, spec.mem_clock_mhz)},
        "temperature": {
            "edge": "N/A", "hotspot": _unit(gpu_files.idle_junction_c(gpu), "C"), "mem": _unit(36 + gpu % 4, "C"),
        },
        "pcie": {
            "width": 16, "speed": _unit(32, "GT/s"), "bandwidth": _unit(0, "Mb/s"), "replay_count": 0,
            "l0_to_recovery_count": 1, "replay_roll_over_count": 0, "nak_sent_count": 0, "nak_received_count": 0,
        },
        "ecc": {
            "total_correctable_count": 0, "total_uncorrectable_count": 0, "total_deferred_count": 0,
            "cache_correctable_count": 0, "cache_uncorrectable_count": 0,
        },
        "ecc_blocks": {
            block.upper(): {"correctable_count": 0, "uncorrectable_count": 0, "deferred_count": 0}
            for block in gpu_files.RAS_BLOCKS
        },
        "perf_level": "AMDSMI_DEV_PERF_LEVEL_AUTO",
        "xgmi_err": "N/A",
        "mem_usage": {
            "total_vram": _unit(total, "MB"), "used_vram": _unit(used, "MB"), "free_vram": _unit(total - used, "MB"),
        },
        "throttle": violations,
    }  # fmt: skip


def _clock(now: int, low: int, high: int) -> dict[str, Any]:
    return {
        "clk": _unit(now, "MHz"), "min_clk": _unit(low, "MHz"), "max_clk": _unit(high, "MHz"), "clk_locked": "DISABLED",
        "deep_sleep": "DISABLED",
    }  # fmt: skip


def _static(kind: Kind, gpu: int) -> dict[str, Any]:
    spec = kind.gpu
    gfx = f"gfx{spec.gfx // 10000}{spec.gfx // 100 % 100}{spec.gfx % 100:x}"
    limit: dict[str, Any] = {
        "max_power": _unit(spec.power_w, "W"), "min_power": _unit(0, "W"), "socket_power": _unit(spec.power_w, "W"),
        "slowdown_edge_temperature": "N/A", "slowdown_hotspot_temperature": _unit(100, "C"),
        "slowdown_vram_temperature": _unit(105, "C"), "shutdown_edge_temperature": "N/A",
        "shutdown_hotspot_temperature": _unit(110, "C"), "shutdown_vram_temperature": _unit(115, "C"),
    }  # fmt: skip
    ras: dict[str, Any] = {
        "eeprom_version": "0x30000", "parity_schema": "DISABLED", "single_bit_schema": "DISABLED",
        "double_bit_schema": "DISABLED", "poison_schema": "ENABLED",
        "ecc_block_state": dict.fromkeys((block.upper() for block in gpu_files.RAS_BLOCKS), "ENABLED"),
    }  # fmt: skip
    if wrapped(kind):
        ras["bad_page_threshold"] = 128
    partition = {"compute_partition": "SPX", "memory_partition": "NPS1", "partition_id": 0}
    return {
        "gpu": gpu,
        "asic": {
            "market_name": spec.product.removesuffix(" OAM"), "vendor_id": "0x1002",
            "vendor_name": "Advanced Micro Devices Inc. [AMD/ATI]", "subvendor_id": "0x1002",
            "device_id": f"0x{spec.device_id}", "rev_id": "0x00", "asic_serial": "0x" + MARK.format(gpu=gpu),
            "oam_id": gpu, "num_compute_units": spec.compute_units, "target_graphics_version": gfx,
        },
        "bus": {
            "bdf": gpu_files.bdf(gpu), "max_pcie_width": 16, "max_pcie_speed": _unit(32, "GT/s"),
            "pcie_interface_version": "Gen 5", "slot_type": "OAM",
        },
        "vbios": {"name": "AMD LAB", "build_date": "2024/01/01 00:00", "part_number": spec.vbios, "version": "022.040"},
        "limit": limit,
        "driver": {"name": "amdgpu", "version": kind.driver},
        "board": {
            "model_number": "102-LAB", "product_serial": f"LAB{gpu:05d}", "fru_id": "N/A", "product_name": spec.product,
            "manufacturer_name": "AMD",
        },
        "ras": ras,
        **({} if wrapped(kind) else {"partition": partition}),
        "vram": {"type": "HBM3", "vendor": "HYNIX", "size": _unit(spec.vram_bytes // MIB, "MB"), "bit_width": 8192},
        "numa": {"node": gpu * kind.nodes // kind.gpus, "affinity": gpu * kind.nodes // kind.gpus},
    }  # fmt: skip


def _listed(kind: Kind, gpu: int) -> dict[str, Any]:
    return {
        "gpu": gpu, "bdf": gpu_files.bdf(gpu), "uuid": f"{MARK.format(gpu=gpu)}-lab", "node_id": kind.nodes + gpu,
        "partition_id": 0, "render": f"renderD{128 + gpu}", "card": f"card{gpu + 1}", "hsa_id": kind.nodes + gpu,
        "hip_id": gpu, "hip_uuid": f"GPU-{MARK.format(gpu=gpu)}",
    }  # fmt: skip


def _firmware(gpu: int) -> dict[str, Any]:
    found = [{"fw_id": name.upper(), "fw_version": str(int(value, 16))} for name, value in gpu_files.FIRMWARE.items()]
    return {"gpu": gpu, "fw_list": found}


def pages(kind: Kind, pending: Mapping[int, int] | None = None) -> str:
    """`amd-smi bad-pages --json`. `pending`: pages by GPU."""
    none = "No bad pages found."
    found = []
    for gpu in range(kind.gpus):
        waiting = [
            {"page_address": f"0x{0x7F8000 + 0x1000 * page:x}", "page_size": "0x1000", "status": "PENDING"}
            for page in range((pending or {}).get(gpu, 0))
        ]
        found.append({"gpu": gpu, "retired": none, "pending": waiting or none, "un_res": none})
    return document(kind, found)


def _card(kind: Kind, gpu: int) -> dict[str, str]:
    """rocm-smi's card: every value a text, with the key names of ROCm 6.x on a MI300X."""
    return {
        "Device Name": kind.gpu.product, "Device ID": f"0x{kind.gpu.device_id}", "PCI Bus": gpu_files.bdf(gpu).upper(),
        "Unique ID": "0x" + MARK.format(gpu=gpu), "VBIOS version": kind.gpu.vbios,
        "Temperature (Sensor junction) (C)": f"{gpu_files.idle_junction_c(gpu)}.0",
        "Temperature (Sensor memory) (C)": f"{36 + gpu % 4}.0", "Performance Level": "auto",
        "Current Socket Graphics Package Power (W)": f"{gpu_files.idle_power_w(gpu)}.0",
        "Max Graphics Package Power (W)": f"{kind.gpu.power_w}.0", "GPU use (%)": "0",
        "VRAM Total Memory (B)": str(kind.gpu.vram_bytes), "VRAM Total Used Memory (B)": str(gpu_files.IDLE_USED),
    }  # fmt: skip
