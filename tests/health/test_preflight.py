"""A host may start a cell only when nothing known or unknown stands against it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.health.expectation import adjusted
from console.health.preflight import CheckId, held, preflight
from console.model.facts import CachedModel, Gpu, GpuContainer, HostFacts, Known, Storage, Unknown
from console.model.finding import Effect, Finding, State
from console.model.launch import Need
from console.model.profile import Expectation, GpuSpec, ModelCard, ServerProfile

Preflight = Callable[..., tuple[Finding, ...]]
replace = msgspec.structs.replace


@pytest.fixture
def run(need: Need, server: ServerProfile, gpu_spec: GpuSpec, card: ModelCard) -> Preflight:
    def call(facts: HostFacts, **other: Any) -> tuple[Finding, ...]:
        given: dict[str, Any] = {"need": need, "server": server, "gpu": gpu_spec, "model": card, **other}
        image = given.pop("image_ref", need.image)
        return preflight(facts=facts, image_ref=image, matrix="vllm-0.8.5-throughput", **given)

    return call


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def system(facts: HostFacts, **fields: Any) -> HostFacts:
    return replace(facts, system=replace(facts.system, **fields))


def driver(facts: HostFacts, **fields: Any) -> HostFacts:
    return replace(facts, driver=replace(facts.driver, **fields))


def engine(facts: HostFacts, **fields: Any) -> HostFacts:
    assert isinstance(facts.engine, Known)
    return replace(facts, engine=Known(replace(facts.engine.value, **fields), "docker info"))


def container(**fields: Any) -> GpuContainer:
    base = GpuContainer(name="train7", id="4be1", image="rocm/pytorch", state="running", since="2026-11-22T08:00:00Z")
    return replace(base, **fields)


def test_nothing_stands_against_a_reference_server(run: Preflight, facts: HostFacts) -> None:
    assert run(facts) == ()


def test_what_was_looked_at_and_passed_can_be_shown(
    facts: HostFacts, need: Need, server: ServerProfile, gpu_spec: GpuSpec, card: ModelCard
) -> None:
    found = held(need, facts, server, gpu_spec, card, need.image)
    assert {item.state for item in found} == {State.PASS}
    assert {
        CheckId.DOCKER_ACCESS,
        CheckId.GPU_MODEL,
        CheckId.NUMA_BALANCING,
        CheckId.MODEL_CACHED,
        CheckId.IMAGE_PRESENT,
        CheckId.PUBLISHED_SERVER,
    } <= {item.check for item in found}


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"docker": Unknown("permission denied", "/var/run/docker.sock")}, CheckId.DOCKER_ACCESS),
        ({"engine": Unknown("no answer")}, CheckId.DOCKER_ENGINE),
        ({"gpus": Unknown("cut off")}, CheckId.GPU_PRESENT),
        ({"models": Unknown("not read")}, CheckId.MODEL_CACHED),
    ],
)
def test_what_cannot_be_read_and_is_needed_blocks(
    run: Preflight, facts: HostFacts, fields: dict[str, Any], check: str
) -> None:
    found = [item for item in run(replace(facts, **fields)) if item.effect is Effect.BLOCK]
    assert [(item.check, item.state) for item in found] == [(check, State.UNKNOWN)]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda facts: system(facts, numa_balancing=Unknown("no such file")), CheckId.NUMA_BALANCING),
        (lambda facts: driver(facts, kfd_process_ids=Unknown("denied")), CheckId.GPU_FREE),
        (lambda facts: driver(facts, kfd_gid=Unknown("no stat")), CheckId.GROUPS),
        (lambda facts: replace(facts, scratch=Unknown("timeout")), CheckId.SCRATCH),
        (lambda facts: system(facts, bios_version=Unknown("denied")), CheckId.PUBLISHED_SERVER),
    ],
)
def test_what_cannot_be_read_is_at_least_noted(
    run: Preflight, facts: HostFacts, change: Callable[[HostFacts], HostFacts], check: str
) -> None:
    found = only(run(change(facts)))
    assert (found.check, found.state, found.effect) == (check, State.UNKNOWN, Effect.NOTE)


@pytest.mark.parametrize("field", ["compute_partition", "memory_partition", "power_cap_w", "performance_level"])
def test_an_unread_setting_of_a_gpu_is_noted(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts], field: str
) -> None:
    found = only(run(change_gpus(facts, only=5, **{field: Unknown("would wake the GPU")})))
    assert (found.check, found.state) == (f"gpu.{field.removesuffix('_w')}", State.UNKNOWN)


def test_a_refused_docker_socket_names_the_way_in(run: Preflight, facts: HostFacts) -> None:
    found = only(run(replace(facts, docker=Unknown("permission denied"), engine=Unknown("not asked"))))
    assert "usermod -aG docker" in found.remedy


def test_the_command_that_shows_an_unknown_is_the_remedy(run: Preflight, facts: HostFacts) -> None:
    found = only(run(system(facts, numa_balancing=Unknown("denied", show=("sysctl", "kernel.numa_balancing")))))
    assert found.remedy == "sysctl kernel.numa_balancing"


def test_numa_balancing_spoils_also_in_its_tiering_mode(run: Preflight, facts: HostFacts) -> None:
    for value in (1, 2):
        found = only(run(system(facts, numa_balancing=Known(value, "/proc/sys/kernel/numa_balancing"))))
        assert (found.check, found.effect, found.expected) == (CheckId.NUMA_BALANCING, Effect.SPOIL, "0")
        assert found.remedy == "sudo sysctl -w kernel.numa_balancing=0"
        assert found.evidence == "/proc/sys/kernel/numa_balancing"


@pytest.mark.parametrize(
    ("fields", "check", "effect", "remedy"),
    [
        (
            {"compute_partition": Known("CPX", "sysfs")},
            CheckId.COMPUTE_PARTITION,
            Effect.SPOIL,
            "sudo amd-smi set --gpu all --compute-partition SPX",
        ),
        (
            {"memory_partition": Known("NPS4", "sysfs")},
            CheckId.MEMORY_PARTITION,
            Effect.SPOIL,
            "sudo amd-smi set --gpu all --memory-partition NPS1",
        ),
        (
            {"power_cap_w": Known(600.0, "hwmon")},
            CheckId.POWER_CAP,
            Effect.NOTE,
            "sudo amd-smi set --gpu all --power-cap 750",
        ),
        (
            {"performance_level": Known("perf_determinism", "sysfs")},
            CheckId.PERFORMANCE_LEVEL,
            Effect.NOTE,
            "sudo amd-smi reset --gpu all --perf-determinism",
        ),
    ],
)
def test_one_gpu_set_otherwise_is_found_and_named(
    run: Preflight,
    facts: HostFacts,
    change_gpus: Callable[..., HostFacts],
    fields: dict[str, Any],
    check: str,
    effect: Effect,
    remedy: str,
) -> None:
    found = only(run(change_gpus(facts, only=3, **fields)))
    assert (found.check, found.effect, found.remedy) == (check, effect, remedy)
    assert "0000:03:00.0" in found.evidence
    assert "0000:04:00.0" not in found.evidence


def test_a_profile_may_expect_another_partition(
    run: Preflight, facts: HostFacts, server: ServerProfile, change_gpus: Callable[..., HostFacts]
) -> None:
    own = adjusted(server, (Expectation(fact="gpu.compute_partition", accept=("CPX",)),))
    assert run(change_gpus(facts, compute_partition=Known("CPX", "sysfs")), server=own) == ()


def test_too_few_gpus_block(run: Preflight, facts: HostFacts) -> None:
    assert isinstance(facts.gpus, Known)
    found = run(replace(facts, gpus=Known(facts.gpus.value[:7], "kfd")))
    blocked = only(tuple(item for item in found if item.effect is Effect.BLOCK))
    assert (blocked.check, blocked.seen, blocked.expected) == (CheckId.GPU_COUNT, "7 x MI300X", "8 x MI300X")


def test_gpus_of_another_model_block(
    run: Preflight, facts: HostFacts, need: Need, change_gpus: Callable[..., HostFacts]
) -> None:
    other = change_gpus(facts, model=Known("AMD Instinct MI325X", "kfd"), device_id="74a5")
    found = only(run(other))
    assert (found.check, found.effect, found.seen) == (CheckId.GPU_MODEL, Effect.BLOCK, "8 x MI325X")
    assert run(other, need=replace(need, gpu_models=())) == ()


def test_an_unnamed_gpu_is_known_by_its_device_id(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts]
) -> None:
    unnamed = change_gpus(facts, model=Unknown("no name"))
    assert run(unnamed) == ()
    found = only(run(change_gpus(unnamed, device_id="ffff")))
    assert (found.check, found.state, found.effect) == (CheckId.GPU_MODEL, State.UNKNOWN, Effect.BLOCK)


def test_no_gpus_and_no_kfd_name_the_driver(run: Preflight, facts: HostFacts) -> None:
    bare = driver(replace(facts, gpus=Known((), "kfd")), kfd_present=Known(False, "/dev/kfd"))
    blocked = [item for item in run(bare) if item.effect is Effect.BLOCK]
    assert [item.check for item in blocked] == [CheckId.GPU_PRESENT, CheckId.KFD]
    assert {item.remedy for item in blocked} == {"sudo modprobe amdgpu"}


def test_a_cell_without_gpus_asks_nothing_of_them(run: Preflight, facts: HostFacts, need: Need) -> None:
    bare = driver(replace(facts, gpus=Known((), "kfd")), kfd_present=Known(False, "/dev/kfd"))
    found = run(bare, need=replace(need, gpus=0, gpu_models=()), server=None)
    assert found == ()


def test_a_cell_without_gpus_is_not_told_of_those_the_host_has(
    run: Preflight, facts: HostFacts, need: Need, change_gpus: Callable[..., HostFacts]
) -> None:
    odd = change_gpus(facts, only=6, compute_units=Known(300, "kfd"), power_cap_w=Known(300.0, "hwmon"))
    assert {item.check for item in run(odd)} == {CheckId.GPU_ALIKE, CheckId.POWER_CAP}
    assert run(odd, need=replace(need, gpus=0, gpu_models=())) == ()


def test_a_model_that_does_not_fit_blocks(run: Preflight, facts: HostFacts, need: Need) -> None:
    found = only(run(facts, need=replace(need, vram_bytes_per_gpu=200 << 30)))
    assert (found.check, found.effect) == (CheckId.GPU_MEMORY, Effect.BLOCK)


def test_memory_in_use_blocks_and_names_the_processes(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts]
) -> None:
    used = change_gpus(
        driver(facts, kfd_process_ids=Known((4711,), "kfd")), only=2, vram_used_bytes=Known(40 << 30, "x")
    )
    found = only(run(used))
    assert (found.check, found.effect) == (CheckId.GPU_FREE, Effect.BLOCK)
    assert "40.0 GiB" in found.seen
    assert "4711" in found.seen
    assert found.remedy.startswith("ps -fp 4711")


def test_an_agent_that_only_opened_kfd_is_noted(run: Preflight, facts: HostFacts) -> None:
    found = only(run(driver(facts, kfd_process_ids=Known((812,), "kfd"))))
    assert (found.check, found.effect, found.state) == (CheckId.GPU_FREE, Effect.NOTE, State.WARN)


def test_gpus_whose_use_cannot_be_seen_at_all_block(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts]
) -> None:
    dark = change_gpus(driver(facts, kfd_process_ids=Unknown("denied")), vram_used_bytes=Unknown("denied"))
    found = only(run(dark))
    assert (found.check, found.state, found.effect) == (CheckId.GPU_FREE, State.UNKNOWN, Effect.BLOCK)


def test_containers_of_others_are_respected(run: Preflight, facts: HostFacts) -> None:
    found = only(run(engine(facts, gpu_containers=(container(access="devices"),))))
    assert (found.check, found.effect) == (CheckId.GPU_CONTAINERS, Effect.BLOCK)
    assert "train7" in found.seen
    assert "2026-11-22T08:00:00Z" in found.seen


def test_stopped_and_merely_privileged_containers_do_not_block(run: Preflight, facts: HostFacts) -> None:
    seen = (container(state="exited"), container(name="agent", access="privileged"))
    found = only(run(engine(facts, gpu_containers=seen)))
    assert (found.check, found.effect) == (CheckId.GPU_CONTAINERS, Effect.NOTE)
    assert "agent" in found.seen


def test_a_host_we_hold_ourselves_is_left_to_the_claim(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts]
) -> None:
    loaded = change_gpus(facts, vram_used_bytes=Known(150 << 30, "sysfs"))
    ours = container(name="instinct-claim", ours=True, run="r01", owner="ana")
    found = only(run(engine(loaded, gpu_containers=(ours,))))
    assert (found.check, found.effect) == (CheckId.GPU_CONTAINERS, Effect.NOTE)
    assert "run r01 of ana" in found.seen


def test_an_unequal_gpu_is_noted(run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts]) -> None:
    found = run(change_gpus(facts, only=6, compute_units=Known(300, "kfd")))
    assert [item.check for item in found] == [CheckId.GPU_ALIKE]
    assert "0000:06:00.0 300" in found[0].seen


@pytest.mark.parametrize(
    ("cached", "says"),
    [
        ((), "is not in the cache: 73.0 GiB to fetch, which fits"),
        (
            (
                CachedModel(
                    model="amd/Llama-3.1-70B-Instruct-FP8-KV",
                    revision=None,
                    present_bytes=0,
                    missing=("no folder",),
                    incomplete=0,
                ),
            ),
            "is not in the cache: 73.0 GiB to fetch, which fits",
        ),
        (
            (
                CachedModel(
                    model="amd/Llama-3.1-70B-Instruct-FP8-KV",
                    revision="abc",
                    present_bytes=70 << 30,
                    missing=("model-00007.safetensors",),
                    incomplete=1,
                ),
            ),
            "lacks 1 files, 1 half done: 3.0 GiB to fetch, which fits",
        ),
    ],
)
def test_an_incomplete_model_blocks_and_names_the_fetch(
    run: Preflight, facts: HostFacts, cached: tuple[CachedModel, ...], says: str
) -> None:
    found = only(run(replace(facts, models=Known(cached, "cache"))))
    assert (found.check, found.effect) == (CheckId.MODEL_CACHED, Effect.BLOCK)
    assert found.seen.endswith(says)
    assert found.remedy == "instinct fetch vllm-0.8.5-throughput --hosts node01"


def test_a_model_inside_the_image_needs_no_cache(run: Preflight, facts: HostFacts, card: ModelCard) -> None:
    assert run(replace(facts, models=Unknown("not read")), model=replace(card, inside_image=True)) == ()


def test_a_cell_without_need_of_model_files_asks_for_none(run: Preflight, facts: HostFacts, need: Need) -> None:
    assert run(replace(facts, models=Unknown("not read")), need=replace(need, model_files=False)) == ()


def test_another_revision_is_noted(run: Preflight, facts: HostFacts, card: ModelCard) -> None:
    found = only(run(facts, model=replace(card, revision="def")))
    assert (found.check, found.effect, found.expected) == (CheckId.MODEL_REVISION, Effect.NOTE, "def")


@pytest.mark.parametrize(
    ("wanted", "present", "there"),
    [
        ("rocm/vllm:tag", ("docker.io/rocm/vllm:tag",), True),
        ("rocm/vllm:tag", ("rocm/vllm:other",), False),
        ("rocm/vllm@sha256:" + "a" * 64, ("rocm/vllm:tag", "rocm/vllm@sha256:" + "a" * 64), True),
        ("rocm/vllm:tag@sha256:" + "a" * 64, ("rocm/vllm:tag", "rocm/vllm@sha256:" + "b" * 64), False),
        ("mirror:5000/rocm/vllm", ("mirror:5000/rocm/vllm:latest",), True),
    ],
)
def test_an_image_is_there_by_tag_or_by_digest(
    run: Preflight, facts: HostFacts, wanted: str, present: tuple[str, ...], there: bool
) -> None:
    found = run(engine(facts, images=present), image_ref=wanted)
    assert [item.check for item in found] == ([] if there else [CheckId.IMAGE_PRESENT])


def test_an_absent_image_needs_room(run: Preflight, facts: HostFacts) -> None:
    assert isinstance(facts.docker_storage, Known)
    small = Known(replace(facts.docker_storage.value, free_bytes=10 << 30), "df")
    found = run(replace(engine(facts, images=()), docker_storage=small))
    assert [(item.check, item.effect) for item in found] == [
        (CheckId.IMAGE_DISK, Effect.BLOCK),
        (CheckId.IMAGE_PRESENT, Effect.NOTE),
    ]


@pytest.mark.parametrize("fields", [{"writable": False}, {"free_bytes": 1 << 20}])
def test_a_scratch_folder_that_cannot_take_results_blocks(
    run: Preflight, facts: HostFacts, fields: dict[str, Any]
) -> None:
    assert isinstance(facts.scratch, Known)
    place: Storage = replace(facts.scratch.value, **fields)
    found = only(run(replace(facts, scratch=Known(place, "df"))))
    assert (found.check, found.effect) == (CheckId.SCRATCH, Effect.BLOCK)


def test_a_scratch_folder_is_made_where_its_parent_is_writable(run: Preflight, facts: HostFacts) -> None:
    assert isinstance(facts.scratch, Known)
    absent = replace(facts.scratch.value, exists=False)
    assert run(replace(facts, scratch=Known(absent, "df"))) == ()
    found = only(run(replace(facts, scratch=Known(replace(absent, writable=False), "df"))))
    assert (found.effect, found.seen) == (Effect.BLOCK, "/var/tmp/instinct cannot be made")


def test_what_amd_published_of_its_own_server_is_one_note(run: Preflight, facts: HostFacts) -> None:
    other = system(
        driver(facts, amdgpu_version=Known("6.10.5", "x")),
        bios_version=Known("3.2", "x"),
        nodes_per_socket=Known(2, "x"),
    )
    found = only(run(other))
    assert (found.check, found.effect, found.state) == (CheckId.PUBLISHED_SERVER, Effect.NOTE, State.WARN)
    assert "system.bios_version is 3.2 (published 1.8)" in found.seen
    assert "driver.amdgpu_version is 6.10.5 (published 6.8.5)" in found.seen
    assert "system.nodes_per_socket is 2 (published 1)" in found.seen


def test_required_values_of_a_profile_fail_without_stopping_the_run(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts], server: ServerProfile
) -> None:
    found = only(run(change_gpus(facts, vram_total_bytes=Known(150 << 30, "sysfs"))))
    assert (found.check, found.state, found.effect) == (
        "profile.gpu.vram_total_bytes",
        State.FAIL,
        Effect.NOTE,
    )
    assert (found.seen, found.expected) == (
        "gpu.vram_total_bytes is 150.0 GiB",
        "190.1 GiB to 193.9 GiB",
    )
    typo = adjusted(server, (Expectation(fact="system.bios", accept=("1.8",)),))
    assert only(run(facts, server=typo)).state is State.UNKNOWN


def test_a_cell_over_hosts_without_rdma_is_noted(run: Preflight, facts: HostFacts, need: Need) -> None:
    found = only(run(facts, need=replace(need, needs_rdma=True)))
    assert (found.check, found.effect) == (CheckId.RDMA, Effect.NOTE)


def test_blocks_come_before_spoils_and_notes(
    run: Preflight, facts: HostFacts, change_gpus: Callable[..., HostFacts]
) -> None:
    bad = replace(
        change_gpus(system(facts, numa_balancing=Known(1, "x")), power_cap_w=Known(500.0, "x")), models=Known((), "x")
    )
    assert [item.effect for item in run(bad)] == [Effect.BLOCK, Effect.SPOIL, Effect.NOTE]


def test_text_of_a_host_is_clean_in_a_finding(run: Preflight, facts: HostFacts) -> None:
    found = only(run(engine(facts, gpu_containers=(container(name="x\x1b[2Jy\u202e"),))))
    assert "\x1b" not in found.seen
    assert "\u202e" not in found.seen


def test_every_finding_says_what_why_and_what_to_do(run: Preflight, facts: HostFacts, need: Need) -> None:
    nothing_read = HostFacts(host="node01", read_at_ns=1)
    blank = tuple(Gpu(bdf=f"0000:{index:02x}:00.0", device_id="") for index in range(8))
    for findings in (run(nothing_read), run(replace(nothing_read, gpus=Known(blank, "kfd")))):
        assert findings
        for item in findings:
            assert item.state is State.UNKNOWN, item
            assert item.seen
            assert item.expected
            assert item.source
            assert item.remedy
