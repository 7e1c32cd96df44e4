"""What a person would type on each node to run a planned attempt without this program. Pure."""

from collections.abc import Sequence

import msgspec

from console.fleet.engine.body import hand_line
from console.model.launch import Launch, Part
from console.workloads.by_hand import typed


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """One node: the command that starts its container, and the lines for the shell in it, none where that is all.

    Nothing of it holds a token: where one is needed it is taken from $HF_TOKEN.
    """

    host: str
    rank: int
    part: str
    after: str | None
    start: str
    lines: tuple[str, ...]


def by_hand(launch: Launch) -> Sequence[ByHand]:
    """Every part of a launch, in rank order. Set-up scripts of ours are folded to the published commands."""
    return [_of(part) for part in launch.parts]


def _of(part: Part) -> ByHand:
    inside = typed(part.argv, part.env, part.workdir)
    return ByHand(
        host=part.host,
        rank=part.rank,
        part=part.name,
        after=part.after,
        start=hand_line(part) if inside is None else hand_line(part, ("bash",)),
        lines=tuple(inside.splitlines()) if inside is not None else (),
    )
