"""A user's own program: placeholders, patterns, JSON paths, several nodes, and what is wrong with a description."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import console.workloads  # noqa: F401 - fills the registry
from console.model.attempt import FailureClass, LogFrame, Phase, PhaseSeen, Result, Sample
from console.model.cell import Cell
from console.model.launch import Placement, Seat
from console.model.profile import Image, ModelCard
from console.workloads.base import WorkloadError, decode_cell, registry

MakeCell = Callable[..., Any]
FILE = "/tmp/result.json"
PROGRAM: dict[str, Any] = {
    "argv": ["bench", "--rank={rank}/{nodes}", "--gpus", "{gpus}", "--size", "{size}", '{"json": 1}', "{other}"],
    "env": {"WHERE": "{master_address}:{master_port}"},
    "values": {"size": 8},
    "result": [{"pattern": r"total (?P<value>\S+) tok/s"}],
    "phases": [{"phase": "warming up", "pattern": "^warm"}, {"phase": "measuring", "pattern": "^go"}],
    "samples": [
        {"pattern": r"^step (?P<done>\d+)/(?P<total>\d+) loss (?P<loss>\S+) (?P<rate>\S+) ktok/s", "scale": 1000.0}
    ],
    "failures": [{"pattern": "license expired", "failure": "setup", "remedy": "renew it"}],
}
LOG = (
    "warm up\nstep 1/3 loss 2.5 1.5 ktok/s\ngo\nstep 2/3 loss nan 1,200.5 ktok/s\ntotal 1,234.5 tok/s\n"
    "total 1,300 tok/s\n"
)


def close(
    cell: Any, log: str = "", exit_code: int | None = 0, part: str = "main", result: bytes | None = None
) -> Result:
    reader = registry()["command"].reader(cell, part)
    reader.feed([LogFrame(1, 1, log.encode())])
    return reader.close({} if result is None else {FILE: result}, exit_code)


@pytest.fixture
def own(make_cell: MakeCell) -> Any:
    return make_cell("command", metric="tokens_per_s_per_gpu", **PROGRAM)


def test_names_in_braces_are_filled_and_other_braces_stay(
    own: Any, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    [command] = registry()["command"].commands(own, training_image, model_70b, one_seat)
    assert command.argv == ("bench", "--rank=0/1", "--gpus", "8", "--size", "8", '{"json": 1}', "{other}")
    assert command.env == {"PYTHONUNBUFFERED": "1", "WHERE": "127.0.0.1:29500"}
    assert (command.part, command.secrets) == ("main", ())


def test_several_nodes_run_the_same_program_with_their_ranks(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard
) -> None:
    description = PROGRAM | {"files": [FILE], "port": 4711, "reports": "last", "interface": "eth7"}
    cell = make_cell("command", metric="tokens_per_s_per_gpu", nodes=2, **description)
    seats = Placement(tuple(Seat(rank=n, host=f"n{n}", ip=f"10.0.0.{n}") for n in range(2)))
    first, last = registry()["command"].commands(cell, training_image, model_70b, seats)
    assert (first.part, last.part) == ("rank0", "rank1")
    assert (first.files, last.files) == ((), (FILE,))
    assert last.argv[1] == "--rank=1/2"
    assert last.env["WHERE"] == "10.0.0.0:4711"
    assert (last.env["NODE_RANK"], last.env["GLOO_SOCKET_IFNAME"], last.env["NCCL_DEBUG"]) == ("1", "eth7", "INFO")
    need = registry()["command"].need(cell, training_image, model_70b)
    assert (need.ports, need.nodes) == ((4711,), 2)
    assert close(cell, LOG, part="rank1").value() == 1300.0
    silent = close(cell, "nothing", part="rank0")
    assert (silent.failure, silent.value()) == (None, None)
    with pytest.raises(WorkloadError, match="placed on 1"):
        registry()["command"].commands(cell, training_image, model_70b, Placement(seats.seats[:1]))


def test_time_files_and_tokens_are_asked_for_as_described(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    more = {"expected_s": 100.0, "startup_s": 20.0, "model_files": True, "token": True}
    cell = make_cell("command", metric="tokens_per_s_per_gpu", **PROGRAM, **more)
    need = registry()["command"].need(cell, training_image, model_70b)
    assert (need.measure_s, need.startup_s, need.deadline_s) == (100.0, 20.0, 480.0)
    assert need.model_bytes == model_70b.disk_bytes
    [command] = registry()["command"].commands(cell, training_image, model_70b, one_seat)
    assert (command.env["HF_HUB_CACHE"], command.env["HF_HUB_OFFLINE"]) == ("/models-cache/hub", "1")
    assert command.secrets == ("hf_token",)


def test_lines_become_phases_samples_and_the_result(own: Any) -> None:
    reader = registry()["command"].reader(own, "main")
    signals = reader.feed([LogFrame(1, 1, LOG.encode())])
    assert [signal.phase for signal in signals if isinstance(signal, PhaseSeen)] == [Phase.WARMING_UP, Phase.MEASURING]
    first, second = [signal for signal in signals if isinstance(signal, Sample)]
    assert (first.metric, first.rate, first.done, first.total) == ("tokens_per_s_per_gpu", 1500.0, 1.0, 3.0)
    assert first.extra == {"loss": 2.5}
    assert (second.rate, second.extra) == (1200500.0, {})
    result = reader.close({}, 0)
    assert (result.value(), result.failure) == (1300.0, None)


@pytest.mark.parametrize(
    ("take", "figure"),
    [
        ({}, 4.0),
        ({"take": "first"}, 1.0),
        ({"take": "mean"}, 2.5),
        ({"take": "mean", "drop_first": 1, "drop_last": 1}, 2.5),
        ({"take": "max", "drop_last": 1}, 3.0),
        ({"take": "min", "drop_first": 2}, 3.0),
        ({"take": "sum", "scale": 0.1}, 1.0),
    ],
)
def test_what_several_figures_come_to(take: dict[str, Any], figure: float, make_cell: MakeCell) -> None:
    cell = make_cell("command", metric="latency_s", argv=["x"], result=[{"pattern": r"^t=(\S+)", **take}])
    assert close(cell, "t=1\nt=2\nt=nan\nt=3\nt=4\n").value() == pytest.approx(figure)


@pytest.mark.parametrize(
    ("path", "document", "figure"),
    [
        ("speed", {"speed": 12.5}, 12.5),
        ("runs[-1].speed", {"runs": [{"speed": 1}, {"speed": 2}]}, 2.0),
        ("[0].a b.c", [{"a b": {"c": "1,234.5"}}], 1234.5),
    ],
)
def test_figures_from_a_json_file(path: str, document: Any, figure: float, make_cell: MakeCell) -> None:
    cell = make_cell("command", metric="latency_s", argv=["x"], files=[FILE], result=[{"json": path}])
    assert close(cell, result=json.dumps(document).encode()).value() == figure


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "no result file /tmp/result.json"),
        (b"", "is not JSON"),
        (b'{"speed": null}', "has no number at speed"),
        (b'{"speed": true}', "has no number at speed"),
        (b'{"speed": NaN}', "has no number at speed"),
        (b"[]", "has no speed"),
        (b'{"other": 1}', "has no speed"),
    ],
)
def test_a_file_without_the_figure_says_so(data: bytes | None, said: str, make_cell: MakeCell) -> None:
    cell = make_cell("command", metric="latency_s", argv=["x"], files=[FILE], result=[{"json": "speed"}])
    failure = close(cell, result=data).failure
    assert failure is not None
    assert (failure.failure, said in failure.line) == (FailureClass.NO_RESULT, True)


def test_every_figure_asked_for_must_be_there(make_cell: MakeCell) -> None:
    both = [{"pattern": r"speed (\S+)"}, {"metric": "elapsed_s", "pattern": r"took (\S+)"}]
    cell = make_cell("command", metric="latency_s", argv=["x"], result=both)
    result = close(cell, "speed 3\n")
    assert (result.value(), result.failure is not None and "took" in result.failure.line) == (3.0, True)


def test_failures_are_the_matrixs_own_then_the_known_ones_then_the_exit_code(own: Any) -> None:
    expired = close(own, "ERROR license expired\ntorch.OutOfMemoryError: HIP out of memory\n", exit_code=1).failure
    assert expired is not None
    assert (expired.failure, expired.remedy) == (FailureClass.SETUP, "renew it")
    known = close(own, "torch.OutOfMemoryError: HIP out of memory\n", exit_code=1).failure
    assert known is not None
    assert known.failure is FailureClass.OUT_OF_MEMORY_GPU
    bare = close(own, LOG, exit_code=127).failure
    assert bare is not None
    assert bare.failure is FailureClass.DEPRECATED_ENTRY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"argv": []}, "`argv` is empty"),
        ({"result": []}, "`result` is empty"),
        ({"result": [{"take": "last"}]}, "either `pattern` or `json`"),
        ({"result": [{"pattern": "x", "json": "y"}]}, "either `pattern` or `json`"),
        ({"result": [{"pattern": "no group"}]}, "has no group"),
        ({"result": [{"pattern": "(open"}]}, "is no regular expression"),
        ({"result": [{"json": "a..b"}], "files": [FILE]}, "is no path"),
        ({"result": [{"json": "a"}]}, "not among `files`"),
        ({"samples": [{"pattern": "(unnamed)"}]}, "has no named group"),
        ({"phases": [{"phase": "sleeping", "pattern": "x"}]}, "sleeping"),
    ],
)
def test_a_wrong_description_is_refused_with_the_reason(change: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError), match=said):
        msgspec.convert(PROGRAM | change, registry()["command"].params)


def test_a_cell_comes_back_from_the_journal_as_it_was(own: Any) -> None:
    assert decode_cell(msgspec.json.encode(own)) == own


def test_a_log_alone_says_nothing_without_its_matrix() -> None:
    with pytest.raises(WorkloadError, match="patterns of its matrix"):
        registry()["command"].reader(None, "main")


@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=8))
@settings(deadline=None)
def test_where_bytes_are_cut_makes_no_difference(cuts: list[int]) -> None:
    params = msgspec.convert(PROGRAM, registry()["command"].params)
    cell: Cell[Any] = Cell(
        matrix="m", id="row", workload="command", model="m", title="t", precision="-", image="i", nodes=1,
        gpus_per_node=8, metric="tokens_per_s_per_gpu", params=params, recipe="exact",
    )  # fmt: skip
    raw, edges = LOG.encode(), [0, *sorted(cuts), len(LOG)]
    whole, cut = registry()["command"].reader(cell, "main"), registry()["command"].reader(cell, "main")
    at_once = list(whole.feed([LogFrame(1, 1, raw)]))
    assert [signal for a, b in pairwise(edges) for signal in cut.feed([LogFrame(1, 1, raw[a:b])])] == at_once
    assert cut.close({}, 0) == whole.close({}, 0)
