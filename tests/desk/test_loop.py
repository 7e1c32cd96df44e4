"""The loop that a command's one look at hosts runs on."""

import asyncio

import pytest

from console.desk.loop import finished


class Large:
    """Counts how often its text is asked for."""

    asked = 0

    def __repr__(self) -> str:
        Large.asked += 1
        return "large"


async def look() -> Large:
    await asyncio.sleep(0)
    return Large()


def test_a_result_is_not_written_down_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Large, "asked", 0)
    result = finished(look())
    assert isinstance(result, Large)
    assert Large.asked == 0


def test_an_error_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise LookupError("no such host")

    with pytest.raises(LookupError):
        finished(fail())
