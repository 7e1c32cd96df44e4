"""Logs are cut, kept and followed as the json-file driver does it."""

import asyncio

from console.lab.clock import Clock, parse_since, rfc3339
from console.lab.logs import ENTRY_LIMIT, STDERR, STDOUT, Log

BOTH = frozenset({STDOUT, STDERR})


def entries(log: Log) -> list[tuple[int, bytes]]:
    return [(entry.stream, entry.data) for entry in log.entries]


def opened() -> Log:
    log = Log(Clock(1.0))
    log.open()
    return log


def test_a_progress_bar_is_held_until_its_newline() -> None:
    log = opened()
    log.write(STDERR, b"\r 0%")
    log.write(STDOUT, b"line\n")
    log.write(STDERR, b"\r100%\n")
    assert entries(log) == [(STDOUT, b"line\n"), (STDERR, b"\r 0%\r100%\n")]


def test_long_lines_are_cut_at_sixteen_kibibytes() -> None:
    log = opened()
    log.write(STDOUT, b"x" * (ENTRY_LIMIT + 10) + b"\n")
    assert [len(data) for _, data in entries(log)] == [ENTRY_LIMIT, 11]


def test_what_is_left_at_the_end_gets_a_newline_unless_it_continues_a_cut_line() -> None:
    short, long = opened(), opened()
    short.write(STDOUT, b"part")
    short.close()
    assert entries(short) == [(STDOUT, b"part\n")]
    long.write(STDOUT, b"x" * (ENTRY_LIMIT + 3))
    long.close()
    assert entries(long)[-1] == (STDOUT, b"xxx")


def test_stamps_rise_strictly() -> None:
    log = opened()
    for _ in range(500):
        log.write(STDOUT, b"a\n")
    stamps = [entry.at_ns for entry in log.entries]
    assert stamps == sorted(set(stamps))


async def test_since_is_inclusive_to_the_nanosecond() -> None:
    log = opened()
    for number in range(10):
        log.write(STDOUT, b"%d\n" % number)
    at = log.entries[4].at_ns
    assert parse_since(f"{at // 10**9}.{at % 10**9:09d}") == at
    read = [data async for data in log.read(streams=BOTH, follow=False, timestamps=False, since=at)]
    assert b"".join(read).count(b"\n") == 6


async def test_tail_counts_only_the_streams_asked_for() -> None:
    log = opened()
    for number in range(6):
        log.write(STDERR if number % 2 else STDOUT, b"%d\n" % number)
    read = [data async for data in log.read(streams=frozenset({STDOUT}), follow=False, timestamps=False, tail=2)]
    assert b"".join(read).endswith(b"4\n")
    assert b"2\n" in b"".join(read)
    assert b"0\n" not in b"".join(read)


async def test_followers_get_everything_and_end_with_the_container() -> None:
    log = opened()

    async def follow() -> bytes:
        return b"".join([data async for data in log.read(streams=BOTH, follow=True, timestamps=False)])

    followers = [asyncio.create_task(follow()) for _ in range(3)]
    for number in range(1500):
        log.write(STDOUT, b"%d\n" % number)
        if number % 100 == 0:
            await asyncio.sleep(0)
    log.close()
    for text in await asyncio.gather(*followers):
        assert text.count(b"\n") == 1500


async def test_the_attached_get_bytes_before_their_newline() -> None:
    log = opened()
    queue = log.attach()
    log.write(STDERR, b"\r 50%")
    entry = await queue.get()
    assert entry is not None
    assert (entry.stream, entry.data) == (STDERR, b"\r 50%")
    log.close()
    assert await queue.get() is None


def test_times_have_nine_digits() -> None:
    assert rfc3339(1_795_392_623_390_196_851) == "2026-11-23T00:10:23.390196851Z"
    assert parse_since("") is None
    assert parse_since("12.5") == 12_500_000_000
