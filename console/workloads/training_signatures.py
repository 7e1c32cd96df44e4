"""Failure signatures of training runs: our set-up steps inside an image, and ranks that need each other, as data."""

from console.model.attempt import FailureClass as F
from console.workloads.nccl_log import INTERFACE_REMEDY
from console.workloads.signature import Signature, echo, known

SETUP_SAYS = "instinct set-up: "
"""How our own set-up steps inside an image begin the line that says why they gave up."""

_TOKENIZER = "remove that folder, or fill it: an earlier download was refused and left it empty"

SETUP_SIGNATURES: tuple[Signature, ...] = (
    known(
        "S-token",
        F.GATED_MODEL,
        f"{SETUP_SAYS}no token",
        "give a Hugging Face token of an account that accepted the model's licence, or complete the model's files in "
        "the host's cache with `instinct fetch`",
    ),
    known(
        "S-network",
        F.HUB_UNREACHABLE,
        f"{SETUP_SAYS}no network",
        "this step of the recipe needs the internet: give the host a route or proxy, or an image that has it done",
    ),
    known("S-tokenizer", F.TOKENIZER, f"{SETUP_SAYS}tokenizer folder", _TOKENIZER),
    known("S-other", F.SETUP, SETUP_SAYS, "the image differs from what the recipe expects: choose the published image"),
)
"""Before all others: what such a line quotes may carry the needle of another signature."""

TRAINING_SIGNATURES: tuple[Signature, ...] = (
    known(
        "T-net",
        F.WRONG_INTERFACE,
        (
            "Bootstrap : no socket interface found",
            "Unable to find address for",
            "No interface found in the same subnet",
        ),
        INTERFACE_REMEDY,
    ),
    known(
        "T-ib",
        F.RCCL,
        "Got completion from peer",
        "check the RoCE path between the hosts: GID index, PFC, link state",
        r"NET/IB\s*: Got completion from peer .* with (?:status|error)",
    ),
    known(
        "T-timeout",
        F.COLLECTIVE_TIMEOUT,
        "Watchdog caught collective operation timeout",
        "a rank stopped answering: read the other ranks' logs first, then the fabric between the hosts",
    ),
    known(
        "T-nan",
        F.NAN_LOSS,
        ("found NaN in local", "found Inf in local"),
        "the loss is not a number: look at the precision and the GPUs; the speed of such a run does not count",
        r"found (?:NaN|Inf) in local",
    ),
    known("T-tokenizer", F.TOKENIZER, "Can't load tokenizer for", _TOKENIZER),
    known(
        "T-killed",
        F.RANK_DIED,
        "failed (exitcode: -9) local_rank: ",
        "that rank was killed without a word: look at the host's memory, its kernel log and who else uses it",
    ),
    echo(
        "T-rank",
        "failed (exitcode: ",
        r"failed \(exitcode: -?\d+\) local_rank: \d+",
        F.RANK_DIED,
        "read what that rank printed before; without a word it was killed: look at the host's memory and kernel log",
    ),
    echo(
        "T-peer",
        ("Connection closed by peer", "Connection reset by peer", "Broken pipe"),
        "gloo.*(?:Connection (?:closed|reset) by peer|Broken pipe)",
        F.RANK_DIED,
        "another rank ended first: read the other hosts' logs",
    ),
    echo("T-elastic", ("torch.distributed.elastic.multiprocessing", "ChildFailedError")),
)
"""T-rank is torchrun's word on the rank that ended first; what the rank itself said stands before it. A rank that was
killed says nothing: what other ranks of the node say then is only that they miss it."""
