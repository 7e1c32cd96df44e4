"""Which hosts a person means: names, `@group`, globs, ranges, comma lists, `!` to leave some out."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from console.catalog.errors import suggestion
from console.fleet.host import Fleet, FleetError, Host
from console.fleet.ranges import RangeError, expand, is_range


def select(fleet: Fleet, expr: str | None = None) -> tuple[Host, ...]:
    """The hosts of an expression, each once, in the order they were asked for; all of them without one.

    Terms are separated by commas. `!term` takes hosts away from those named before it, or from all when it is first.
    A term that matches nothing, and a selection that is empty or says nothing, are FleetErrors: a script's variable
    that was never set must not mean the whole fleet.
    """
    if not fleet.hosts:
        raise FleetError(f"{fleet.path}: no hosts in it; add one with `instinct hosts add NAME ADDRESS`")
    terms = _terms("*" if expr is None else expr)
    if not terms:
        raise FleetError("the selection of hosts is empty; leave it out to mean every host")
    chosen: dict[str, Host] = {}
    if terms and terms[0].startswith("!"):
        chosen = {host.name: host for host in fleet.hosts}
    for term in terms:
        if term.startswith("!"):
            for host in _matching(fleet, term[1:].strip()):
                chosen.pop(host.name, None)
        else:
            chosen.update((host.name, host) for host in _matching(fleet, term))
    if not chosen:
        raise FleetError(f"{expr!r} selects no host of {fleet.path}")
    return tuple(chosen.values())


def _terms(expr: str) -> list[str]:
    """Split at commas that are not inside brackets."""
    terms, depth, term = [], 0, ""
    for char in expr:
        depth += (char == "[") - (char == "]")
        if char == "," and depth <= 0:
            terms.append(term)
            term = ""
        else:
            term += char
    terms.append(term)
    return [stripped for term in terms if (stripped := term.strip())]


def _matching(fleet: Fleet, term: str) -> Sequence[Host]:
    if term.startswith("@"):
        return _group(fleet, term[1:])
    try:
        patterns = expand(term) if is_range(term) else (term,)
    except RangeError as error:
        raise FleetError(str(error)) from None
    names = [host.name for host in fleet.hosts]
    found: list[Host] = []
    for pattern in patterns:
        hosts = [host for host in fleet.hosts if fnmatchcase(host.name, pattern)]
        if not hosts:
            raise FleetError(f"no host {pattern!r} in {fleet.path}{suggestion(pattern, names)}")
        found.extend(hosts)
    return found


def _group(fleet: Fleet, pattern: str) -> Sequence[Host]:
    hosts = [host for host in fleet.hosts if any(fnmatchcase(group, pattern) for group in host.groups)]
    if not hosts:
        groups = sorted({group for host in fleet.hosts for group in host.groups})
        raise FleetError(f"no group {pattern!r} in {fleet.path}{suggestion(pattern, groups)}")
    return hosts
