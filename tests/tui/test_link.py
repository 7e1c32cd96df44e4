"""The core thread: the lab's hosts and a store arrive, requests are answered, nothing stays behind."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from console.desk import desk
from console.desk.fleet_board import Pulse, Seen
from console.desk.settings import Options, Settings, load
from console.lab.up import Lab
from console.tui.link import Answer, Core, CoreLink


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path / "lab", hosts=2)
    await lab.start()
    yield lab
    await lab.stop()


class Front:
    """The screens' side: calls are brought into this loop."""

    def __init__(self, settings: Settings, with_hosts: bool = True) -> None:
        self.loop = asyncio.get_running_loop()
        self.link = CoreLink(settings, desk.fleet(settings) if with_hosts else None)
        self.woken = asyncio.Event()
        self.events: list[Any] = []
        self.problems: list[str] = []
        self.link.start(self.deliver, self.woken.set)

    def deliver(self, call: Callable[[], None]) -> None:
        self.loop.call_soon_threadsafe(call)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():
                await self.woken.wait()
                self.woken.clear()
                batch = self.link.take()
                self.events += [*batch.fleet, *batch.envelopes]
                self.problems += [batch.problem] if batch.problem else []

    async def answer(self, how: Callable[..., object], request: Any) -> Answer:
        got: asyncio.Future[Answer] = self.loop.create_future()
        how(request, got.set_result)
        return await asyncio.wait_for(got, 60)

    async def close(self) -> None:
        await asyncio.to_thread(self.link.close)


def settings_of(folder: Path, fleet: Path) -> Settings:
    return load(Options(store=folder / "store", fleet=fleet), {})


async def test_hosts_arrive_and_give_readings(lab: Lab, tmp_path: Path) -> None:
    front = Front(settings_of(tmp_path, lab.fleet_file))
    try:
        await front.until(lambda: len({event.host for event in front.events if isinstance(event, Pulse)}) == 2)
    finally:
        await front.close()

    assert {event.host for event in front.events if isinstance(event, Seen)} == {host.name for host in lab_hosts(lab)}
    assert front.problems == []
    assert not [thread for thread in threading.enumerate() if thread.name == "core"]


def lab_hosts(lab: Lab) -> tuple[Any, ...]:
    return desk.fleet(load(Options(fleet=lab.fleet_file), {})).hosts


async def test_a_request_uses_the_open_connections_and_its_failure_is_an_answer(lab: Lab, tmp_path: Path) -> None:
    front = Front(settings_of(tmp_path, lab.fleet_file))

    async def look(core: Core) -> str:
        assert core.site is not None
        facts = await core.site.survey(lab_hosts(lab)[0].name, ())
        return f"{facts.host} {facts.simulated}"

    async def fail(core: Core) -> None:
        raise ValueError("no such cell\x1b[2J")

    try:
        good = await front.answer(front.link.ask, look)
        bad = await front.answer(front.link.ask, fail)
        table = await front.answer(front.link.work, lambda: threading.current_thread().name)
    finally:
        await front.close()

    assert good == Answer(f"{lab_hosts(lab)[0].name} True")
    assert bad == Answer(error="ValueError: no such cell")
    assert str(table.value).startswith("console")


async def test_a_dropped_request_is_not_answered(tmp_path: Path) -> None:
    front = Front(settings_of(tmp_path, tmp_path / "none.toml"), with_hosts=False)
    answers: list[Answer] = []
    release = threading.Event()
    try:
        drop = front.link.work(release.wait, answers.append)
        drop()
        release.set()
        await front.answer(front.link.work, lambda: None)
    finally:
        await front.close()

    assert answers == []


async def test_a_journal_that_cannot_be_read_is_told_and_requests_go_on(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "journal.sqlite").write_bytes(b"this is no database at all, whatever its name says" * 40)
    front = Front(settings_of(tmp_path, tmp_path / "none.toml"), with_hosts=False)
    try:
        await front.until(lambda: bool(front.problems))
        assert (await front.answer(front.link.work, lambda: 7)).value == 7
    finally:
        await front.close()

    assert "journal" in front.problems[0]


async def test_a_host_that_never_answers_delays_nobody(lab: Lab, tmp_path: Path) -> None:
    text = lab.fleet_file.read_text()
    fleet = lab.fleet_file.with_name("with-dead.toml")
    fleet.write_text(text + '\n[hosts.dead]\naddress = "127.0.0.1"\nport = 1\n')
    front = Front(settings_of(tmp_path, fleet))
    try:
        await front.until(lambda: len({event.host for event in front.events if isinstance(event, Pulse)}) == 2)
        await front.until(lambda: any(type(event).__name__ == "Missing" for event in front.events))
    finally:
        await front.close()

    missing = next(event for event in front.events if type(event).__name__ == "Missing")
    assert missing.host == "dead"
    assert missing.retry_at_ns is not None


async def test_what_is_answered_before_the_screens_begin_is_not_lost(tmp_path: Path) -> None:
    link = CoreLink(settings_of(tmp_path, tmp_path / "none.toml"), None)
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[Answer] = loop.create_future()
    done = threading.Event()

    def work() -> str:
        done.set()
        return "early"

    link.work(work, heard.set_result)
    assert await asyncio.to_thread(done.wait, 60)
    link.start(lambda call: loop.call_soon_threadsafe(call), lambda: None)
    try:
        answer = await asyncio.wait_for(heard, 60)
    finally:
        await asyncio.to_thread(link.close)

    assert answer.value == "early"
