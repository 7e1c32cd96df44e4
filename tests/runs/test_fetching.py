"""A download that another console left behind is taken on, never waited for in vain."""

from typing import Any

import pytest

from console.fleet.host import Host
from console.model.profile import Image, ModelCard
from console.runs.fetching import Hub, fetch_model

IMAGE = Image(name="i", ref="r/i:t", program="vllm", source="test")
MODEL = ModelCard(id="some/model", title="m", precision="fp16", source="test")
HOST = Host(name="n1", address="n1", model_cache="/cache")


async def fetch(bench: Any) -> None:
    """Fetch with a new site, as another console would."""
    site = bench.site()
    facts = await site.survey("n1", ())
    async for _ in fetch_model(site, HOST, facts, IMAGE, MODEL, Hub()):
        pass


@pytest.mark.parametrize("left", ["nothing", "created", "running", "exited"])
async def test_a_download_goes_on_from_whatever_is_there(
    bench: Any, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.runs.fetching.POLL_S", 0.0)
    await fetch(bench)
    (first,) = bench.world.history
    if left != "nothing":
        first.state, first.looks_left = left, 3
        bench.world.containers[(first.host, first.name)] = first
        await fetch(bench)
    starts = {"nothing": 1, "created": 2, "running": 1, "exited": 1}
    assert first.starts == starts[left]
    assert len(bench.world.history) == (2 if left == "exited" else 1)
    assert bench.world.containers == {}
