"""Every screen as a picture, from a recorded run: three sizes, dark, light and without colours.

`pytest tests/tui/test_pictures.py --snapshot-update` makes them anew; look at them before they are committed.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from console.desk.settings import Settings
from console.model.events import AttemptEnded, Envelope
from console.tui.app import SCREENS
from tests.tui.pilots import drawn

MakeScene = Callable[..., Any]
Compare = Callable[..., bool]
FRAME = struct.Struct("<qII")
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}


@pytest.fixture
def then(own_settings: Settings, halfway: Sequence[Envelope]) -> Settings:
    """A store as it was in the middle of the run: the logs of attempts at work end where they had come to."""
    now_ns = max(item.at_ns for item in halfway)
    ended = {item.attempt for item in halfway if isinstance(item.event, AttemptEnded)}
    for attempt in (own_settings.store.value / "attempts").iterdir():
        if attempt.name not in ended:
            for index in attempt.glob("*.idx"):
                frames = [frame for frame in FRAME.iter_unpack(index.read_bytes()) if frame[0] <= now_ns]
                index.write_bytes(b"".join(FRAME.pack(*frame) for frame in frames))
                log = index.with_suffix(".log")
                log.write_bytes(log.read_bytes()[: sum(frame[2] for frame in frames)])
    return own_settings


async def settle(pilot: Pilot[None]) -> None:
    """Everything that was fed is drawn, and every request answered."""
    await drawn(pilot, again=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCREENS)
def test_in_every_size(
    name: str,
    size: str,
    scene: MakeScene,
    then: Settings,
    halfway: Sequence[Envelope],
    snap_compare: Compare,
) -> None:
    app = scene(halfway, given=then, start=name).app

    assert snap_compare(app, terminal_size=SIZES[size], run_before=settle)


@pytest.mark.parametrize("name", SCREENS)
def test_in_light(
    name: str, scene: MakeScene, then: Settings, halfway: Sequence[Envelope], snap_compare: Compare
) -> None:
    app = scene(halfway, given=then, start=name, theme="instinct-light").app

    assert snap_compare(app, terminal_size=SIZES["120x40"], run_before=settle)


@pytest.mark.parametrize("name", SCREENS)
def test_without_colours(
    name: str,
    scene: MakeScene,
    then: Settings,
    halfway: Sequence[Envelope],
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = scene(halfway, given=then, start=name).app

    assert snap_compare(app, terminal_size=SIZES["120x40"], run_before=settle)
