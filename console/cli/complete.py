"""Shell completions. They look only at local files, and stay silent when something is wrong there."""

from collections.abc import Callable, Sequence

import click
from click.shell_completion import CompletionItem

from console.cli.framework import Front

Lookup = Callable[[Front], Sequence[tuple[str, str]]]
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(lookup: Lookup) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            found = lookup(ctx.ensure_object(Front))
        except Exception:  # noqa: BLE001 - a completion must never break the shell's line
            return []
        return [CompletionItem(name, help=title) for name, title in found if name.startswith(incomplete)]

    return complete


def _matrices(front: Front) -> Sequence[tuple[str, str]]:
    from console.desk import desk

    return [(matrix.name, matrix.title) for matrix in desk.catalog(front.settings()).matrices.values()]


def _profiles(front: Front) -> Sequence[tuple[str, str]]:
    from console.desk import desk

    catalog = desk.catalog(front.settings())
    kinds = (catalog.matrices, catalog.servers, catalog.gpus, catalog.images, catalog.models)
    return [(name, "") for kind in kinds for name in kind]


def _hosts(front: Front) -> Sequence[tuple[str, str]]:
    from console.desk import desk

    fleet = desk.fleet(front.settings())
    groups = sorted({group for host in fleet.hosts for group in host.groups})
    return [(host.name, host.address) for host in fleet.hosts] + [(f"@{group}", "group") for group in groups]


def _runs(front: Front) -> Sequence[tuple[str, str]]:
    from console.desk import desk

    rows = desk.runs(front.settings())
    return [("last", "the newest run"), *((row.run, row.label or " ".join(row.matrices)) for row in rows)]


def _workloads(front: Front) -> Sequence[tuple[str, str]]:
    from console.desk import reading

    return [(name, "") for name in reading.workloads()]


matrices = _completer(_matrices)
profiles = _completer(_profiles)
hosts = _completer(_hosts)
runs = _completer(_runs)
workloads = _completer(_workloads)
