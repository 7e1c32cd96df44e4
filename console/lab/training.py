"""The training programs as one: recognise, set up, play, and leave the job when it is over."""

from collections.abc import Callable, Iterator

from console.lab import flux, megatron, titan, train_fsdp
from console.lab.acts import Act, Program, Surroundings
from console.lab.torchrun import Session
from console.lab.train_args import Asked, Kind, recognise
from console.lab.train_setup import prepared

_PLAYS: dict[Kind, tuple[str, str, Callable[[Session, Asked], Iterator[Act]]]] = {
    "fsdp": ("pytorch-training", "./train_fsdp.py", train_fsdp.play),
    "titan": ("pytorch-training", "./train.py", titan.play),
    "flux": ("pytorch-training", "./train_flux.py", flux.play),
    "llama2": ("megatron-lm", "pretrain_gpt.py", megatron.play),
    "llama3": ("megatron-lm", "pretrain_gpt.py", megatron.play),
    "deepseek": ("megatron-lm", "pretrain_deepseek.py", megatron.play),
}
"""The image's name, the program that torchrun starts, and the play of each kind."""


def find(around: Surroundings) -> Program | None:
    """The play of a training program that the image has; None for everything else."""
    asked = recognise(around.argv)
    if asked is None or around.image.rpartition("/")[2] != _PLAYS[asked.kind][0]:
        return None
    return _whole(around, asked)


def _whole(around: Surroundings, asked: Asked) -> Iterator[Act]:
    _, program, play = _PLAYS[asked.kind]
    session = Session(around, program)
    try:
        yield from prepared(around, asked)
        yield from play(session, asked)
    finally:
        session.close()
