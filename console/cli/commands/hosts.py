"""`instinct hosts`: the fleet."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli import asking, complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, group, json_option, pass_front
from console.cli.printing import Column

if TYPE_CHECKING:
    from console.desk.trusting import Shown
    from console.fleet.hostkeys import HostKey


@group(
    "hosts", example="instinct hosts add node01 10.1.0.1 --user ops\ninstinct hosts trust node01\ninstinct hosts test"
)
def main() -> None:
    """The fleet: list its hosts, add to it, trust host keys, test connections, sign in."""


@command("list", example="instinct hosts list\ninstinct hosts list '@rack2,!node07' --json")
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@json_option
@pass_front
def list_(front: Front, hosts: str | None, as_json: bool) -> None:
    """The hosts of the fleet file as it is understood, ranges expanded and defaults filled in. Connects to none."""
    from console.desk import desk

    fleet = desk.fleet(front.settings())
    chosen = desk.hosts(fleet, hosts)
    if as_json:
        printing.json_object({"fleet": fleet.path, "simulated": fleet.simulated, "hosts": list(chosen)})
        return
    columns = ("host", "address", "user", "port", "jump", "groups", "server", "model cache", "scratch", "sudo")
    rows = [
        (h.name, h.address, h.user, h.port, h.jump, h.groups, h.server, h.model_cache, h.scratch, h.sudo or "never")
        for h in chosen
    ]
    printing.table(
        [Column(name, shrink=name in ("address", "model cache", "scratch"), keep=name == "host") for name in columns],
        rows,
    )


@command(
    "add", example="instinct hosts add node01 10.1.0.1 --user ops --group rack2\ninstinct hosts add --from-ssh-config"
)
@click.argument("name", required=False)
@click.argument("address", required=False)
@click.option("--user", metavar="NAME", help="User to sign in as.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of its SSH server.")
@click.option("--jump", metavar="[USER@]HOST[:PORT]", help="Jump host, as OpenSSH's ProxyJump.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Group to choose it by.")
@click.option(
    "--from-ssh-config",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Add every host of an ssh configuration; ~/.ssh/config without FILE.",
)
@click.option("--from-ansible", metavar="FILE", type=click.Path(path_type=Path), help="Add every host of an inventory.")
@json_option
@pass_front
def add(
    front: Front,
    name: str | None,
    address: str | None,
    user: str | None,
    port: int | None,
    jump: str | None,
    groups: tuple[str, ...],
    from_ssh_config: str | None,
    from_ansible: Path | None,
    as_json: bool,
) -> None:
    """Add hosts to the fleet file, which is made when absent: one by hand, or all that another tool knows.

    An address may be an alias of your ssh configuration; without one the name itself is the address. "local" is this
    machine.
    """
    from console.desk import enrolling
    from console.fleet.importing import ImportedHost

    sources = sum(source is not None for source in (name, from_ssh_config, from_ansible))
    if sources != 1:
        raise click.UsageError("name one host, or give --from-ssh-config or --from-ansible FILE")
    settings = front.settings()
    if name is not None:
        host = ImportedHost(name=name, address=address or name, user=user, port=port, jump=jump, groups=groups)
        done = enrolling.add_host(settings, host)
    elif from_ansible is not None:
        done = enrolling.add_from_ansible(settings, from_ansible)
    else:
        done = enrolling.add_from_ssh_config(settings, Path(from_ssh_config) if from_ssh_config else None)
    for text in done.notes:
        printing.note(text)
    for known in done.known:
        printing.note(f"{known} is in the fleet file already; left as it is")
    if as_json:
        printing.json_object({"fleet": done.path, "added": done.added, "known": done.known})
    for added in () if as_json else done.added:
        printing.data(added)
    printing.note(f"{done.path}: {len(done.added)} added; next: instinct hosts trust")


@command(
    "trust",
    example="instinct hosts trust node01\n"
    "instinct hosts trust node01 --fingerprint SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n"
    "instinct hosts trust --fingerprint node01=SHA256:… --fingerprint node02=SHA256:…",
)
@click.argument("hosts", nargs=-1, metavar="[HOSTS...]", shell_complete=complete.hosts)
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="[HOST=]SHA256:…",
    help="Trust the key with this fingerprint without asking; HOST= where there are several hosts.",
)
@json_option
@pass_front
def trust(front: Front, hosts: tuple[str, ...], fingerprints: tuple[str, ...], as_json: bool) -> Exit:
    """Show the fingerprints of host keys, and take on record the keys you say are right.

    Compare them with what the host itself says (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console).
    On a terminal you are asked; elsewhere give the fingerprints. Keys go to a file of our own, never to yours; a key
    that differs from one on record is always refused. A jump host is named as the fleet file names it.
    """
    from console.desk import desk, trusting

    fleet = desk.fleet(front.settings())
    shown = asyncio.run(trusting.show(fleet, trusting.names(fleet, hosts)))
    if as_json:
        keys = [key for found in shown.keys.values() for key in found]
        printing.json_object({"keys": keys, "problems": dict(shown.problems)})
    else:
        _print_keys(shown)
    if fingerprints:
        wanted, refused = trusting.chosen(shown, _by_host(fingerprints, tuple(shown.keys)))
    elif asking.somebody_there():
        wanted, refused = _asked(shown), {}
    else:
        wanted, refused = (), {}
        if shown.keys:
            printing.error("nothing was trusted: without a terminal, say which key is right with --fingerprint")
    done = asyncio.run(trusting.trust(fleet, wanted))
    for name in dict.fromkeys(key.host for key in (*done.new, *done.known)):
        printing.note(f"{name}: {'trusted' if any(k.host == name for k in done.new) else 'trusted already'}")
    if done.new:
        printing.note(f"{len(done.new)} keys into {done.file}")
    for host, problem in {**shown.problems, **refused, **done.problems}.items():
        printing.error(f"{host}: {problem}")
    if shown.problems:
        return Exit.CONNECT
    trusted = {key.host for key in (*done.new, *done.known)}
    return Exit.DONE if trusted == set(shown.keys) else Exit.USAGE


@command("test", example="instinct hosts test\ninstinct hosts test @rack2")
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@json_option
@pass_front
def test(front: Front, hosts: str | None, as_json: bool) -> Exit:
    """Connect to hosts and to their Docker engines; what stands in the way is told by host, with what to do."""
    from console.desk import desk, surveying
    from console.model.facts import Known, Unknown

    fleet = desk.fleet(front.settings())
    chosen = desk.hosts(fleet, hosts)
    seen = asyncio.run(surveying.survey_fleet(fleet, chosen, asking.asker()))
    rows: list[tuple[object, ...]] = []
    for host in chosen:
        facts = seen.facts.get(host.name)
        if facts is None:
            rows.append((host.name, "no", None, seen.problems[host.name]))
        elif isinstance(facts.engine, Known):
            rows.append((host.name, "yes", facts.engine.value.version, ""))
        else:
            missing: Unknown = facts.docker if isinstance(facts.docker, Unknown) else facts.engine
            rows.append((host.name, "yes", None, f"{missing.why} {missing.detail}".strip()))
    if as_json:
        names = ("host", "connected", "docker", "problem")
        printing.json_rows("hosts", [dict(zip(names, row, strict=True)) for row in rows])
    else:
        columns = [Column("host", keep=True), Column("connected"), Column("docker"), Column("problem", shrink=True)]
        printing.table(columns, rows)
        if printing.terminal_width() is not None:  # the table was cut to fit; what to do stands at a problem's end
            for row in rows:
                if row[3]:
                    printing.error(f"{row[0]}: {row[3]}")
    if seen.problems:
        return Exit.CONNECT
    return Exit.CELL if any(row[2] is None for row in rows) else Exit.DONE


@command("login", example="instinct hosts login node01")
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@pass_front
def login(front: Front, hosts: str | None) -> Exit:
    """Sign in to hosts and the bastions before them, answering their questions; each bastion asks once.

    A connection lives as long as the command that made it: this shows that signing in works and what will be asked.
    `plan`, `run` and the others ask in the same way when they are started on a terminal.
    """
    from console.desk import desk, surveying

    if not asking.somebody_there():
        raise click.UsageError(
            "signing in asks questions and needs a terminal; elsewhere use keys, an agent or certificates"
        )
    fleet = desk.fleet(front.settings())
    chosen = desk.hosts(fleet, hosts)
    seen = asyncio.run(surveying.survey_fleet(fleet, chosen, asking.asker()))
    for name in seen.facts:
        printing.note(f"{name}: signed in")
    for name, problem in seen.problems.items():
        printing.error(f"{name}: {problem}")
    return Exit.CONNECT if seen.problems else Exit.DONE


for each in (list_, add, trust, test, login):
    main.add_command(each)


def _print_keys(shown: "Shown") -> None:
    rows = [(key.host, key.pattern, key.algorithm, key.fingerprint) for keys in shown.keys.values() for key in keys]
    if rows:
        printing.table([Column("host"), Column("server"), Column("kind"), Column("fingerprint")], rows)


def _by_host(fingerprints: tuple[str, ...], hosts: tuple[str, ...]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for text in fingerprints:
        host, equals, fingerprint = text.partition("=SHA256:")
        if equals:
            found.setdefault(host, set()).add(f"SHA256:{fingerprint}")
        elif not text.startswith("SHA256:"):
            raise click.BadParameter(f"{text!r} is not SHA256:… or HOST=SHA256:…")
        elif len(hosts) > 1:
            raise click.UsageError("several hosts were named: write --fingerprint HOST=SHA256:…")
        else:
            found.setdefault(hosts[0] if hosts else "", set()).add(text)
    return found


def _asked(shown: "Shown") -> "tuple[HostKey, ...]":
    good: list[HostKey] = []
    for host, keys in shown.keys.items():
        if asking.confirmed(f"{host}: are these its keys?"):
            good.extend(keys)
    return tuple(good)
