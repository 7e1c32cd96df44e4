"""May a cell start on a host: everything that must be so before a benchmark, held against the host's facts. Pure."""

from console.health.check_ids import CheckId
from console.health.conditions import conditions
from console.health.gates import docker, gpu, model, profile, settings
from console.health.gates.base import Ask, Gate
from console.model.facts import HostFacts
from console.model.finding import Effect, Finding, State
from console.model.launch import Need
from console.model.profile import GpuSpec, ModelCard, ServerProfile

__all__ = ["GATES", "CheckId", "conditions", "held", "preflight"]

GATES: tuple[Gate, ...] = (*docker.GATES, *gpu.GATES, *settings.GATES, *model.GATES, *profile.GATES)

_ORDER = {Effect.BLOCK: 0, Effect.SPOIL: 1, Effect.NOTE: 2}


def held(
    need: Need,
    facts: HostFacts,
    server: ServerProfile | None,
    gpu_spec: GpuSpec | None,
    card: ModelCard,
    image_ref: str,
    *,
    matrix: str = "",
) -> tuple[Finding, ...]:
    """Every finding in the order of the gates, passes too, so that what was looked at can be shown."""
    ask = Ask(need=need, facts=facts, server=server, gpu=gpu_spec, model=card, image_ref=image_ref, matrix=matrix)
    return tuple(finding for gate in GATES for finding in gate(ask))


def preflight(
    need: Need,
    facts: HostFacts,
    server: ServerProfile | None,
    gpu: GpuSpec | None,
    model: ModelCard,
    image_ref: str,
    *,
    matrix: str = "",
) -> tuple[Finding, ...]:
    """What stands against starting, gravest first: what blocks, what would spoil the figure, what is noted.

    Nothing that could not be read counts as a pass: without it either the start is blocked or a note says so.
    """
    found = [
        finding
        for finding in held(need, facts, server, gpu, model, image_ref, matrix=matrix)
        if finding.state is not State.PASS
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.effect]))
