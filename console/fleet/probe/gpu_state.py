"""What sysfs tells of one GPU: identity, memory, links, sensors."""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from console.fleet.probe import gpu_errors
from console.fleet.probe.kfd import KfdNode
from console.fleet.probe.reading import Files, decimal
from console.model.facts import Firmware, Gpu, Known, Unknown

T = TypeVar("T")

KEPT = (
    "subsystem_device revision unique_id serial_number product_name product_number vbios_version xgmi_physical_id "
    "numa_node mem_info_vram_total mem_info_vram_used mem_info_vis_vram_total mem_info_vram_vendor iommu_group/type "
    "xgmi_hive_info/xgmi_hive_id"
)
"""Files whose content the driver holds in memory; reading them wakes nothing."""

READ = (
    "gpu_busy_percent mem_busy_percent current_link_speed current_link_width max_link_speed max_link_width "
    "pcie_replay_count current_compute_partition available_compute_partition current_memory_partition "
    "available_memory_partition power_dpm_force_performance_level pp_dpm_sclk pp_dpm_mclk aer_dev_correctable "
    "aer_dev_nonfatal aer_dev_fatal ras/features ras/*_err_count ras/gpu_vram_bad_pages hwmon/hwmon*/name "
    "hwmon/hwmon*/temp[123]_label hwmon/hwmon*/temp[123]_input hwmon/hwmon*/temp[123]_crit "
    "hwmon/hwmon*/temp[123]_emergency hwmon/hwmon*/power1_* hwmon/hwmon*/freq[12]_*"
)
"""Files for which the driver may ask the GPU."""

_SMI = ("amd-smi", "metric")
_LABEL = re.compile(r"/(temp|freq)(\d)_label\Z", re.ASCII)


def fill(gpu: Gpu, files: Files, node: KfdNode | None) -> Gpu:
    """The same GPU with everything its files tell."""
    sensors = _Sensors(files)
    return msgspec.structs.replace(
        gpu,
        runtime_status=files.text("power/runtime_status"),
        unique_id=files.text("unique_id"),
        product_name=files.text("product_name"),
        serial_number=files.text("serial_number"),
        product_number=files.text("product_number"),
        subsystem_id=files.read("subsystem_device", _hexadecimal),
        revision=files.read("revision", _hexadecimal),
        vbios_version=files.text("vbios_version"),
        oam_id=files.integer("xgmi_physical_id"),
        numa_node=files.integer("numa_node"),
        vram_total_bytes=files.integer("mem_info_vram_total"),
        vram_used_bytes=files.integer("mem_info_vram_used"),
        visible_vram_bytes=files.integer("mem_info_vis_vram_total"),
        memory_vendor=files.text("mem_info_vram_vendor"),
        compute_partition=files.text("current_compute_partition"),
        memory_partition=files.text("current_memory_partition"),
        available_compute_partitions=files.read("available_compute_partition", _list),
        available_memory_partitions=files.read("available_memory_partition", _list),
        performance_level=files.text("power_dpm_force_performance_level"),
        firmware=_firmware(files),
        hive_id=_hive(files, node),
        busy_percent=files.scaled("gpu_busy_percent", 1),
        memory_busy_percent=files.scaled("mem_busy_percent", 1),
        power_w=sensors.first(("power1_input", "power1_average"), 1e6, "power"),
        power_cap_w=sensors.first(("power1_cap",), 1e6, "power cap"),
        power_cap_default_w=sensors.first(("power1_cap_default",), 1e6, "power cap"),
        power_cap_max_w=sensors.first(("power1_cap_max",), 1e6, "power cap"),
        edge_c=sensors.labelled("temp", "edge", "input", 1e3),
        junction_c=sensors.labelled("temp", "junction", "input", 1e3),
        junction_slowdown_c=sensors.labelled("temp", "junction", "crit", 1e3),
        junction_shutdown_c=sensors.labelled("temp", "junction", "emergency", 1e3),
        memory_c=sensors.labelled("temp", "mem", "input", 1e3),
        memory_slowdown_c=sensors.labelled("temp", "mem", "crit", 1e3),
        memory_shutdown_c=sensors.labelled("temp", "mem", "emergency", 1e3),
        sclk_mhz=_clock(files, sensors, "sclk"),
        mclk_mhz=_clock(files, sensors, "mclk"),
        sclk_max_mhz=_highest(files, "pp_dpm_sclk", node.max_clock_mhz if node is not None else 0, node),
        mclk_max_mhz=_highest(files, "pp_dpm_mclk", 0, None),
        pcie_width=_link(files, "current_link_width", decimal),
        pcie_max_width=_link(files, "max_link_width", decimal),
        pcie_speed_gts=_link(files, "current_link_speed", _speed),
        pcie_max_speed_gts=_link(files, "max_link_speed", _speed),
        ras=gpu_errors.ras(files),
        bad_pages=gpu_errors.bad_pages(files),
        pcie_replay_count=files.integer("pcie_replay_count"),
        aer_correctable=gpu_errors.aer_total(files, "aer_dev_correctable"),
        aer_nonfatal=gpu_errors.aer_total(files, "aer_dev_nonfatal"),
        aer_fatal=gpu_errors.aer_total(files, "aer_dev_fatal"),
    )


def _hexadecimal(text: str) -> str:
    match = re.fullmatch(r"0x([0-9a-fA-F]{1,8})", text)
    if match is None:
        raise ValueError(text)
    return match.group(1).lower()


def _list(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def _speed(text: str) -> float:
    """GT/s of `32.0 GT/s PCIe`."""
    match = re.match(r"(\d{1,3}(?:\.\d)?) GT/s", text, re.ASCII)
    if match is None:
        raise ValueError(text)
    return float(match.group(1))


def _link(files: Files, name: str, convert: Callable[[str], T]) -> Known[T] | Unknown:
    """Of the bridge inside the GPU where it has one: that is the link to the slot; behind it all is as it should be."""
    hop = files.raw("uplink")
    if hop and re.fullmatch(r"\.\.(/\.\.){0,7}", hop):
        fact = files.read(f"{hop}/{name}", convert)
        if isinstance(fact, Known) or files.cut or files.late:
            return fact
    return files.read(name, convert)


def _hive(files: Files, node: KfdNode | None) -> Known[str] | Unknown:
    own = files.raw("xgmi_hive_info/xgmi_hive_id")
    if own and re.fullmatch(r"[0-9]{1,20}", own):
        return Known(f"{int(own):016x}", files.path("xgmi_hive_info/xgmi_hive_id"))
    if node is not None and node.hive_id and not (files.cut or files.late):
        return Known(f"{node.hive_id:016x}", node.source)
    return Unknown("it is in no xGMI hive, or the driver does not tell", files.path("xgmi_hive_info"), ("rocminfo",))


def _firmware(files: Files) -> Known[tuple[Firmware, ...]] | Unknown:
    found = [
        Firmware(match.group(1), text)
        for name in sorted(files.rows)
        if (match := re.fullmatch(r"fw_version/(\w{1,40}?)_fw_version", name)) and (text := files.raw(name))
    ]
    if files.cut or files.late or files.why:
        return files.missing("fw_version")
    if found:
        return Known(tuple(found), files.path("fw_version"))
    return Unknown("not there", files.path("fw_version"), ("amd-smi", "firmware"))


class _Sensors:
    """The hwmon of one GPU, whatever its number is."""

    def __init__(self, files: Files) -> None:
        self.files = files
        names = sorted({name.rpartition("/")[0] for name in files.rows if name.startswith("hwmon/hwmon")})
        named = [base for base in names if files.raw(f"{base}/name") == "amdgpu"]
        self.base = (named or names or [""])[0]
        self._labels = {
            (match.group(1), files.raw(name)): match.group(1) + match.group(2)
            for name in files.rows
            if name.startswith(self.base) and (match := _LABEL.search(name))
        }

    def first(self, names: tuple[str, ...], per: float, what: str) -> Known[float] | Unknown:
        """The first of some files that there is."""
        if not self.base:
            return self._none(what)
        for name in names:
            if f"{self.base}/{name}" in self.files.rows:
                return self.files.scaled(f"{self.base}/{name}", per)
        missing = self.files.missing(f"{self.base}/{names[0]}")
        if missing.why == "the file is empty":  # it was not among what the folder has
            return Unknown("the driver does not tell", self.files.path(f"{self.base}/{names[0]}"), _SMI)
        return missing

    def labelled(self, kind: str, label: str, suffix: str, per: float) -> Known[float] | Unknown:
        """The sensor of a label: numbers of sensors differ between GPUs."""
        if not self.base:
            return self._none(label)
        sensor = self._labels.get((kind, label))
        if sensor is not None:
            return self.first((f"{sensor}_{suffix}",), per, label)
        if self.files.cut or self.files.late:
            return self.files.missing(f"{self.base}/{kind}1_label")
        return Unknown(f"no sensor of the label {label}", self.files.path(self.base), _SMI)

    def _none(self, what: str) -> Unknown:
        if self.files.asleep or self.files.cut or self.files.late or self.files.why:
            return self.files.missing("hwmon/hwmon0/name")
        return Unknown(f"no hwmon of the device, which would tell its {what}", self.files.path("hwmon"), _SMI)


def _clock(files: Files, sensors: _Sensors, label: str) -> Known[int] | Unknown:
    fact = sensors.labelled("freq", label, "input", 1e6)
    if isinstance(fact, Known):
        return Known(round(fact.value), fact.source)
    if files.cut or files.late:
        return fact
    for line in files.lines(f"pp_dpm_{label}") or ():
        match = re.fullmatch(r"\d{1,2}: (\d{1,5})Mhz \*", line, re.ASCII)
        if match:
            return Known(int(match.group(1)), files.path(f"pp_dpm_{label}"))
    return fact


def _highest(files: Files, name: str, other: int, node: KfdNode | None) -> Known[int] | Unknown:
    """The highest level of a clock; KFD's figure stands in for the engine clock."""
    levels = [re.fullmatch(r"\d{1,2}: (\d{1,5})Mhz.*", line, re.ASCII) for line in files.lines(name) or ()]
    found = [int(level.group(1)) for level in levels if level]
    if found:
        return Known(max(found), files.path(name))
    if node is not None and other and not (files.cut or files.late):
        return Known(other, node.source)
    return files.missing(name)
