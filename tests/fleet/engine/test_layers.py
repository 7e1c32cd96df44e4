"""What a pull says, layer by layer, becomes one progress."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.engine.layers import Layers, PullMessage, PullProgress

# the engine's own form of a pull of three layers, one of them there already
PULL = b"""
{"status":"Pulling from library/thing","id":"1.0"}
{"status":"Already exists","progressDetail":{},"id":"aaaaaaaaaaaa"}
{"status":"Pulling fs layer","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Pulling fs layer","progressDetail":{},"id":"cccccccccccc"}
{"status":"Waiting","progressDetail":{},"id":"cccccccccccc"}
{"status":"Downloading","progressDetail":{"current":500,"total":2000},"progress":"[==> ]","id":"bbbbbbbbbbbb"}
{"status":"Downloading","progressDetail":{"current":100,"total":1000},"progress":"[==> ]","id":"cccccccccccc"}
{"status":"Retrying in 5 seconds","progressDetail":{},"id":"cccccccccccc"}
{"status":"Downloading","progressDetail":{"current":50,"total":1000},"progress":"[==> ]","id":"cccccccccccc"}
{"status":"Verifying Checksum","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Download complete","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Download complete","progressDetail":{},"id":"cccccccccccc"}
{"status":"Extracting","progressDetail":{"current":32768,"total":2000},"progress":"[==> ]","id":"bbbbbbbbbbbb"}
{"status":"Pull complete","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Pull complete","progressDetail":{},"id":"cccccccccccc"}
{"status":"Digest: sha256:0123"}
{"status":"Status: Downloaded newer image for thing:1.0"}
""".strip().splitlines()


def progresses() -> list[PullProgress]:
    layers = Layers()
    found = []
    for line in PULL:
        layers.see(msgspec.json.decode(line, type=PullMessage))
        found.append(layers.progress)
    return found


def test_bytes_of_all_layers_are_added_up() -> None:
    seen = progresses()
    assert [(item.done_bytes, item.total_bytes) for item in seen[5:9]] == [
        (500, None),
        (600, 3000),
        (600, 3000),
        (550, 3000),
    ]
    assert (seen[-1].done_bytes, seen[-1].total_bytes) == (3000, 3000)


def test_the_total_is_unknown_until_every_layer_told_its_size() -> None:
    assert [item.total_bytes for item in progresses()[:6]] == [None, 0, None, None, None, None]


def test_the_status_says_what_is_going_on() -> None:
    seen = [item.status for item in progresses()]
    assert seen[0] == "Pulling from library/thing"
    assert seen[6] == "downloading, 1 of 3 layers fetched"
    assert seen[7] == "downloading again after a break, 1 of 3 layers fetched"
    assert seen[12] == "extracting, 1 of 3 layers in place"
    assert seen[-1] == "3 layers in place"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100), st.integers(1, 100))))
def test_done_never_exceeds_a_known_total(steps: list[tuple[str, int, int]]) -> None:
    layers = Layers()
    for name, current, rest in steps:
        text = {"status": "Downloading", "id": name, "progressDetail": {"current": current, "total": current + rest}}
        layers.see(msgspec.convert(text, PullMessage))
        progress = layers.progress
        assert progress.total_bytes is None or progress.done_bytes <= progress.total_bytes


def test_an_error_inside_the_stream_is_found_in_both_forms() -> None:
    both = b'{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}'
    only = b'{"errorDetail":{"message":"toomanyrequests"}}'
    assert msgspec.json.decode(both, type=PullMessage).failure == "no space left on device"
    assert msgspec.json.decode(only, type=PullMessage).failure == "toomanyrequests"
