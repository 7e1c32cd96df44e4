"""A composed MI300X server with nothing wrong, and ways to break it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from console.health.report import HostHealth, Selection, choose, judge
from console.model.facts import (
    UNLIMITED,
    BadPages,
    Clock,
    DockerAccess,
    Driver,
    Firmware,
    Gpu,
    GpuLink,
    HostFacts,
    KernelLine,
    KernelLog,
    Known,
    Nic,
    RasBlock,
    RdmaDevice,
    RdmaPort,
    Storage,
    System,
    Throttle,
)
from console.model.finding import Case, Finding, State
from console.model.profile import Expectation, GpuSpec, Peak, ServerProfile

BUSES = ("0c", "22", "38", "5c", "9f", "af", "bf", "df")
GIB = 1 << 30


def known(value: Any) -> Known[Any]:
    return Known(value, "a file")


def bdf(index: int) -> str:
    return f"0000:{BUSES[index]}:00.0"


def gpu(index: int) -> Gpu:
    return Gpu(
        bdf=bdf(index),
        device_bdf=bdf(index),
        device_id="74a1",
        model=known("AMD Instinct MI300X"),
        gfx=known("gfx942"),
        unique_id=known(f"{index:016x}"),
        compute_units=known(304),
        virtual_function=known(False),
        vbios_version=known("113-M3000100-102"),
        subsystem_id=known("1002:74a1"),
        firmware=known((Firmware("mec", "0x21"), Firmware("smc", "0x5503"))),
        vram_total_bytes=known(196592 << 20),
        visible_vram_bytes=known(196592 << 20),
        vram_used_bytes=known(283 << 20),
        compute_partition=known("SPX"),
        memory_partition=known("NPS1"),
        power_cap_w=known(750.0),
        performance_level=known("auto"),
        busy_percent=known(0.0),
        sclk_mhz=known(131),
        sclk_max_mhz=known(2100),
        junction_c=known(42.0),
        memory_c=known(38.0),
        junction_slowdown_c=known(100.0),
        memory_slowdown_c=known(105.0),
        throttle=known(
            (
                Throttle(reason="prochot", active=False),
                Throttle(reason="ppt", active=False),
                Throttle(reason="socket_thermal", active=False),
                Throttle(reason="low_utilization", active=True),
                Throttle(reason="total_gfx_clk_below_host_limit", active=True),
            )
        ),
        pcie_width=known(16),
        pcie_max_width=known(16),
        pcie_speed_gts=known(32.0),
        pcie_max_speed_gts=known(32.0),
        hive_id=known("4a1b"),
        links=known(tuple(GpuLink(kind="xgmi", to_node=node) for node in range(7))),
        xgmi_peers=known(7),
        xgmi_link_states=known(("up",) * 7),
        ras=known(tuple(RasBlock(block=name, uncorrectable=0, correctable=0, deferred=0) for name in BLOCKS)),
        bad_pages=known(BadPages(retired=0, pending=0, unreservable=0)),
        pcie_replay_count=known(0),
        pcie_nak_sent=known(0),
        pcie_nak_received=known(0),
        aer_correctable=known(0),
        aer_nonfatal=known(0),
        aer_fatal=known(0),
    )


BLOCKS = ("umc", "sdma", "gfx", "mmhub", "xgmi_wafl")


def system() -> System:
    return System(
        hostname=known("node01"),
        os=known("Ubuntu 22.04.5 LTS"),
        kernel=known("5.15.0-130-generic"),
        cmdline=known("BOOT_IMAGE=/vmlinuz root=UUID=1 ro iommu=pt pci=realloc=off,noats"),
        cpu=known("AMD EPYC 9554 64-Core Processor"),
        product=known("AS -8125GS-TNMR2"),
        sockets=known(2),
        cpus_online=known(128),
        cpus_present=known(128),
        smt_active=known(False),
        numa_nodes=known(2),
        nodes_per_socket=known(1),
        numa_balancing=known(0),
        bios_version=known("1.8"),
        memory_bytes=known(2268 * GIB),
        iommu=known("passthrough"),
        thp=known("madvise"),
        governor=known("performance"),
        c2_disabled=known(True),
        acs_bridges=known(0),
        memlock_bytes=known(UNLIMITED),
        open_files=known(1048576),
        uptime_s=known(86_400.0),
    )


def port(**changes: Any) -> RdmaPort:
    fields: dict[str, Any] = {"number": 1, "state": "ACTIVE", "phys_state": "LinkUp", "rate_gbps": 400.0}
    return RdmaPort(**{**fields, "link_layer": "Ethernet", "counters": (("link_downed", 0),), **changes})


def rdma(*ports: RdmaPort) -> tuple[RdmaDevice, ...]:
    return tuple(
        RdmaDevice(name=f"mlx5_{index}", ports=(each,), netdevs=(f"ens{index}",)) for index, each in enumerate(ports)
    )


def place(path: str, free: int) -> Known[Storage]:
    return known(
        Storage(
            path=path,
            exists=True,
            writable=True,
            free_bytes=free,
            total_bytes=4096 * GIB,
            fs_type="ext4",
            fs_source="/dev/sda1",
        )
    )


def log(*texts: str, complete: bool = True, this_boot: bool = True) -> Known[KernelLog]:
    lines = tuple(
        KernelLine(text=text, raw=f"[{index}.0] {text}", at_ns=(1000 + index) * 10**9)
        for index, text in enumerate(texts)
    )
    return known(KernelLog(source="dmesg", lines=lines, complete=complete, this_boot=this_boot))


@pytest.fixture
def healthy() -> HostFacts:
    return HostFacts(
        host="node01",
        read_at_ns=2000 * 10**9,
        clock=known(Clock(offset_ns=2_000_000, uncertainty_ns=5_000_000)),
        system=system(),
        driver=Driver(
            amdgpu_loaded=known(True),
            amdgpu_version=known("6.8.5"),
            amdgpu_flavour=known("package"),
            amdgpu_initstate=known("live"),
            dkms_state=known("installed"),
            rocm_version=known("6.3.1"),
            kfd_present=known(True),
            kfd_accessible=known(True),
            kfd_process_ids=known(()),
            processes=known(()),
        ),
        gpus=known(tuple(gpu(index) for index in range(8))),
        other_gpus=known(()),
        docker=known(DockerAccess(flavour="system", socket="/var/run/docker.sock")),
        docker_storage=place("/var/lib/docker", 900 * GIB),
        model_cache=place("/data/huggingface", 2000 * GIB),
        scratch=place("/var/tmp/instinct", 90 * GIB),
        shared_memory=place("/dev/shm", 1000 * GIB),
        rdma=known(rdma(*(port() for _ in range(8)))),
        nics=known(tuple(Nic(name=f"ens{index}", operstate="up", mtu=9000, physical=True) for index in range(8))),
        kernel_log=log("Linux version 5.15.0-130-generic", "amdkcl: loading out-of-tree module taints kernel."),
    )


@pytest.fixture
def spec() -> GpuSpec:
    return GpuSpec(
        name="MI300X",
        arch="gfx942",
        device_ids=("74a1",),
        vram_bytes=192 * GIB,
        vram_type="HBM3",
        hbm_bytes_per_s=5.3e12,
        compute_units=304,
        xccs=8,
        power_w=750,
        peak_tflops=Peak(),
        xgmi_links=7,
        source="AMD data sheet",
    )


@pytest.fixture
def profile() -> ServerProfile:
    return ServerProfile(
        name="mi300x-2x9554",
        title="8x MI300X, 2x EPYC 9554, NPS1",
        gpu="MI300X",
        gpus=8,
        cpu="AMD EPYC 9554 64-Core Processor",
        sockets=2,
        memory_bytes=2304 * GIB,
        source="the profile",
        expect=(
            Expectation(fact="gpu.count", accept=(8,), source="the profile"),
            Expectation(fact="gpu.power_cap_w", low=742.5, high=757.5, source="data sheet"),
            Expectation(fact="system.numa_balancing", accept=(0,), source="a guide"),
            Expectation(fact="system.smt_active", accept=(False,), level="advised", source="a guide"),
            Expectation(fact="system.bios_version", accept=("1.8", "1.9"), level="published", source="the page"),
            Expectation(fact="rdma.active", accept=(8,), source="own"),
            Expectation(fact="system.vendor", accept=("Supermicro",), level="published", source="the page"),
        ),
    )


Judge = Callable[..., HostHealth]


@pytest.fixture
def check(profile: ServerProfile, spec: GpuSpec) -> Judge:
    """Every rule, or those named, over facts: `check(facts, "gpu.count", expect_idle=True)`."""

    def call(facts: HostFacts, *only: str, **case: Any) -> HostHealth:
        selection = Selection(only)
        given: dict[str, Any] = {"profile": profile, "gpu": spec, **case}
        return judge(Case(facts=facts, **given), choose(selection), selection)

    return call


@pytest.fixture
def single(check: Judge) -> Callable[..., Finding]:
    """The one finding of one check."""

    def call(facts: HostFacts, only: str, **case: Any) -> Finding:
        found = check(facts, only, **case).findings
        assert len(found) == 1, found
        return found[0]

    return call


def _set(facts: HostFacts, path: str, value: Any) -> HostFacts:
    area, _, name = path.partition(".")
    if not name:
        return msgspec.structs.replace(facts, **{area: value})
    inner = msgspec.structs.replace(getattr(facts, area), **{name: value})
    return msgspec.structs.replace(facts, **{area: inner})


@pytest.fixture
def change() -> Callable[..., HostFacts]:
    """Facts with values replaced: `change(facts, {"system.thp": …})`, of a GPU with `{"gpu.pcie_width": …}, only=3`."""

    def call(facts: HostFacts, values: dict[str, Any], only: Sequence[int] | None = None) -> HostFacts:
        for path, value in values.items():
            if not path.startswith("gpu."):
                facts = _set(facts, path, value)
                continue
            assert isinstance(facts.gpus, Known)
            gpus = tuple(
                msgspec.structs.replace(item, **{path[4:]: value}) if only is None or index in only else item
                for index, item in enumerate(facts.gpus.value)
            )
            facts = msgspec.structs.replace(facts, gpus=Known(gpus, facts.gpus.source))
        return facts

    return call


@pytest.fixture
def make() -> Any:
    """The makers of parts: `make.log(…)`, `make.port(…)`."""

    class Makers:
        known = staticmethod(known)
        log = staticmethod(log)
        port = staticmethod(port)
        rdma = staticmethod(rdma)
        place = staticmethod(place)
        gpu = staticmethod(gpu)
        bdf = staticmethod(bdf)
        gib = GIB
        state = State

    return Makers
