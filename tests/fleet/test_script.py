"""The framed script: what a shell prints around, inside and instead of its sections."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.survey import AREAS, read
from console.fleet.script import Area, Section, by_name, clock, compose, new_nonce, sections

NONCE = "0123456789abcdef0123456789abcdef"
NAME = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?", fullmatch=True)


def frame(name: str, data: bytes, status: str = "0") -> bytes:
    return f"\n@@{NONCE} begin {name} /some/file\n".encode() + data + f"\n@@{NONCE} end {name} {status}\n".encode()


async def run(script: str, values: dict[str, str] | None = None) -> dict[str, Section]:
    area: Area[object] = Area("test", script, lambda found: None)
    nonce = new_nonce()
    done = await LocalLink(Host(name="here", address="local")).run(compose([area], values or {}, nonce), timeout_s=30)
    return by_name(sections(done.stdout, nonce))


@given(st.lists(st.tuples(NAME, st.binary(max_size=200)), unique_by=lambda item: item[0]), st.binary(max_size=80))
def test_any_content_comes_back_byte_for_byte_whatever_is_printed_around_it(
    wanted: list[tuple[str, bytes]], noise: bytes
) -> None:
    output = noise + b"".join(frame(name, data) + noise for name, data in wanted)
    found = sections(output, NONCE)
    assert [(one.name, one.data, one.exit) for one in found] == [(name, data, 0) for name, data in wanted]


@given(st.lists(st.tuples(NAME, st.binary(max_size=60)), min_size=1, unique_by=lambda item: item[0]), st.data())
def test_a_cut_output_never_shows_a_section_as_whole_that_is_not(
    wanted: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    output = b"".join(frame(name, content) for name, content in wanted)
    cut = data.draw(st.integers(0, len(output) - 1))
    for one in sections(output[:cut], NONCE):
        whole = dict(wanted)[one.name]
        assert one.data == whole if one.ok else whole.startswith(one.data[: len(whole)])
        assert one.exit in (0, None)


@given(st.binary(max_size=2000))
def test_random_bytes_are_no_sections(output: bytes) -> None:
    assert sections(output, NONCE) == ()


@given(
    st.lists(
        st.sampled_from([f"\n@@{NONCE} begin a x", f"\n@@{NONCE} end a 0", f"\n@@{NONCE} end b 1", "\n", "text", "@@"])
    )
)
def test_frames_in_any_order_never_raise_and_end_only_what_began(parts: Sequence[str]) -> None:
    for one in sections("".join(parts).encode(), NONCE):
        assert one.name == "a"


def test_frames_of_another_nonce_are_content() -> None:
    forged = frame("evil", b"x").replace(NONCE.encode(), b"f" * 32)
    assert sections(frame("good", forged), NONCE) == (Section("good", "/some/file", 0, forged),)


def test_the_first_section_of_a_name_counts() -> None:
    assert by_name(sections(frame("a", b"first") + frame("a", b"second"), NONCE))["a"].data == b"first"


@given(st.binary(max_size=3000), st.booleans())
def test_parsers_make_facts_of_any_bytes_without_raising(data: bytes, cut: bool) -> None:
    names = ["host", "host.os", "host.meminfo", "host.cpuinfo", "host.id", "driver", "gpu", "gpu.kfd", "dev.stat"]
    names += ["infiniband", "docker", "docker.sudo", "mounts", "storage.scratch", "model.models--a--b"]
    found = {name: Section(name, "/x", None if cut else 0, data) for name in names}
    facts = read(found, Host(name="h", address="h", model_cache="/m"), ["a/b"])
    assert facts.host == "h"


def test_values_reach_the_script_as_quoted_assignments_only() -> None:
    text = compose([], {"MODEL_CACHE": "/it's; $(reboot)"}, NONCE).decode()
    assert "MODEL_CACHE='/it'\"'\"'s; $(reboot)'" in text.splitlines()
    for bad in ("a\nb", "a\0b", "a\rb"):
        with pytest.raises(ValueError, match="cannot be given"):
            compose([], {"X": bad}, NONCE)
    with pytest.raises(ValueError, match="cannot be given"):
        compose([], {"X;reboot": "a"}, NONCE)


async def test_values_arrive_as_they_are(tmp_path: object) -> None:
    value = '/it\'s "here"; $(id) `id` \\ * é'
    found = await run('begin v x\nprintf %s "$GIVEN"\nend v 0', {"GIVEN": value})
    assert found["v"].data.decode() == value


async def test_a_script_that_arrives_in_part_does_nothing_at_all() -> None:
    nonce = new_nonce()
    script = compose(
        AREAS, {"SOCKET": "", "SUDO_DOCKER": "", "SCRATCH": "/tmp", "MODEL_CACHE": "", "MODELS": ""}, nonce
    )
    done = await LocalLink(Host(name="here", address="local")).run(script[: len(script) * 2 // 3], timeout_s=30)
    assert sections(done.stdout, nonce) == ()


async def test_a_command_that_is_absent_fails_or_hangs_is_told_apart() -> None:
    found = await run(
        "LIMIT='timeout -s KILL 0.2'\noutput no no-such-command\noutput bad ls /no/such/place\n"
        "output slow sleep 60\noutput good echo fine"
    )
    assert (found["no"].why, found["no"].ok) == ("absent", False)
    assert found["bad"].exit not in (0, None)
    assert found["slow"].exit == 137
    assert (found["good"].data, found["good"].ok) == (b"fine\n", True)


async def test_commands_cannot_swallow_the_rest_of_the_script() -> None:
    found = await run("output eats cat\noutput after echo still here")
    assert found["after"].data == b"still here\n"


def test_the_clock_is_the_middle_of_the_way_there_and_back() -> None:
    def at(name: str, ns: int) -> Section:
        return Section(name, "date", 0, b"%d\n" % ns)

    base = 1_700_000_000_000_000_000
    found = {"clock.begin": at("", base + 5_040_000_000), "clock.end": at("", base + 5_140_000_000)}
    reading = clock(found, base, base + 180_000_000)
    assert reading is not None
    assert (reading.offset_ns, reading.uncertainty_ns) == (5_000_000_000, 40_000_000)
    assert clock({**found, "clock.end": Section("", "date", 0, b"1700000000%N\n")}, base, base) is None


async def test_the_script_is_posix_shell() -> None:
    script = compose(AREAS, {}, NONCE)
    for shell in ("dash", "bash", "busybox"):
        argv = [shell, *(["sh"] if shell == "busybox" else []), *(["--posix"] if shell == "bash" else []), "-n"]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except FileNotFoundError:
            continue
        _, stderr = await process.communicate(script)
        assert (process.returncode, stderr) == (0, b"")


def test_the_areas_are_constant_text_and_what_may_hang_comes_last() -> None:
    names = [area.name for area in AREAS]
    assert names == ["host", "software", "storage", "net", "kernel_log", "gpu", "smi", "acs"]
    assert all(area.script.isascii() for area in AREAS)
