"""Parameters of the `command` workload: what to run, and where its figures are."""

from typing import Literal

import msgspec

from console.workloads.patterns import FailurePattern, PhasePattern, Pick, SamplePattern


class CommandParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `command`.

    In `argv` and `env`, `{rank}`, `{nodes}`, `{gpus}` (of one node), `{master_address}` and `{master_port}` stand for
    the node's own values, and `{name}` for each of `values`. Nothing of it passes through a shell.

    `files` are collected from the container for results by `json`. `expected_s`, `startup_s` and `deadline_s` are
    seconds; without a deadline it is four times what is expected. A program whose `samples` say `done` and `total` is
    ended when no step comes for five times as long as a step takes, at least a minute; `stall_s` says after how long
    instead, 0 for never. `model_files`: the model must be in the host's
    cache, which the program sees offline; `token`: a Hugging Face token is given as a file, HF_TOKEN_PATH. On several
    nodes the same program runs on each, and the node that `reports` prints the figures.
    """

    argv: tuple[str, ...]
    result: tuple[Pick, ...]
    values: dict[str, str | int | float] = {}
    env: dict[str, str] = {}
    workdir: str | None = None
    files: tuple[str, ...] = ()
    phases: tuple[PhasePattern, ...] = ()
    samples: tuple[SamplePattern, ...] = ()
    failures: tuple[FailurePattern, ...] = ()
    expected_s: float | None = None
    startup_s: float = 60.0
    deadline_s: float | None = None
    stall_s: float | None = None
    model_files: bool = False
    token: bool = False
    reports: Literal["first", "last"] = "first"
    port: int = 29500
    master_address: str | None = None
    interface: str | None = None
    hcas: str | None = None
    gid_index: int | None = None
    providers: str | None = None
    check_fabric: bool = True

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("`argv` is empty: name the program and its arguments")
        if not self.result:
            raise ValueError("`result` is empty: say where the figure is")
        for pick in self.result:
            if pick.json is not None and (pick.file or next(iter(self.files), None)) not in self.files:
                raise ValueError(f"the file of {pick.json!r} is not among `files`")
