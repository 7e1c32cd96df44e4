"""Cell and placement to launch: every container of an attempt, fully resolved. Pure."""

import hashlib
from collections.abc import Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import (
    CLAIM_NAME,
    LABEL,
    LABEL_ATTEMPT,
    LABEL_CELL,
    LABEL_LAUNCH,
    LABEL_OWNER,
    LABEL_PART,
    LABEL_RUN,
    LABEL_TRY,
    Command,
    Launch,
    Mount,
    Need,
    Part,
    Placement,
    Seat,
)
from console.model.profile import Image
from console.workloads.places import MODEL_CACHE_PATH, SHARED_PATH


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who a container belongs to, for its labels."""

    run: str
    attempt: str
    attempt_try: int
    operator: str
    version: str


def pinned(ref: str, digest: str | None) -> str:
    """`repository@sha256:…` when the digest is known, else the reference as given."""
    if digest is None:
        return ref
    repository = ref.split("@", 1)[0]
    head, _, tail = repository.rpartition(":")
    if head and "/" not in tail:
        repository = head
    return f"{repository}@{digest}"


def devices(seat: Seat, image: Image) -> tuple[str, ...]:
    """Device files of a seat: KFD and the render node of each GPU, the whole /dev/dri where nodes are not known."""
    fabric = ("/dev/infiniband",) if image.container.infiniband and seat.infiniband else ()
    if not seat.kfd:
        return fabric
    nodes = tuple(gpu.render_node for gpu in seat.gpus) or ("/dev/dri",)
    return ("/dev/kfd", *nodes, *fabric)


def container_name(owner: Owner, command: Command, lead: bool) -> str:
    """The claim name for the lead part of a host, a name of its own for every other part."""
    return CLAIM_NAME if lead else f"instinct-{owner.attempt}-{command.part}"


def compose(
    cell: AnyCell,
    image: Image,
    need: Need,
    commands: Sequence[Command],
    placement: Placement,
    owner: Owner,
    *,
    image_ref: str,
    image_digest: str | None,
) -> Launch:
    """The launch of one attempt. `image_ref` is what the hosts know the image by; it is pinned by its digest."""
    seats = {seat.rank: seat for seat in placement.seats}
    leads: set[str] = set()
    parts = []
    for command in commands:
        seat = seats[command.seat]
        lead = seat.host not in leads
        leads.add(seat.host)
        parts.append(_part(cell, image, need, command, seat, owner, lead, pinned(image_ref, image_digest)))
    digest = hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]
    labelled = tuple(msgspec.structs.replace(part, labels={**part.labels, LABEL_LAUNCH: digest}) for part in parts)
    return Launch(
        attempt=owner.attempt,
        cell=cell.id,
        image=image.ref,
        image_digest=image_digest,
        placement=placement,
        parts=labelled,
        hash=digest,
    )


def _part(
    cell: AnyCell, image: Image, need: Need, command: Command, seat: Seat, owner: Owner, lead: bool, reference: str
) -> Part:
    return Part(
        name=command.part,
        rank=seat.rank,
        host=seat.host,
        container=container_name(owner, command, lead),
        lead=lead,
        image=reference,
        argv=command.argv,
        env=command.env,
        labels={
            LABEL: owner.version,
            LABEL_RUN: owner.run,
            LABEL_ATTEMPT: owner.attempt,
            LABEL_CELL: f"{cell.matrix}/{cell.id}",
            LABEL_TRY: str(owner.attempt_try),
            LABEL_OWNER: owner.operator,
            LABEL_PART: command.part,
        },
        devices=devices(seat, image),
        groups=seat.groups,
        mounts=_mounts(seat),
        options=image.container,
        deadline_s=int(need.deadline_s),
        after=command.after,
        decides=command.decides,
        files=command.files,
        secrets=command.secrets,
        scrape=command.scrape,
        workdir=command.workdir or image.workdir,
    )


def _mounts(seat: Seat) -> tuple[Mount, ...]:
    """The model cache, read-only; for several nodes the NIC vendor's libraries and the folder all of them share."""
    cache = (Mount(seat.model_cache, MODEL_CACHE_PATH, read_only=True),) if seat.model_cache else ()
    shared = (Mount(seat.shared, SHARED_PATH, read_only=False),) if seat.shared else ()
    return (*cache, *shared, *seat.provider_mounts)
