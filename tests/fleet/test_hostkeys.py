"""Host keys on record: every form of known_hosts, what a shown key means, and trusting on a person's word."""

import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
import pytest

from console.fleet.hostkeys import HostKey, KnownHosts, KnownHostsCache, choose, pattern_of, trust
from console.fleet.link import KeyChanged, KeyUnknown

ROOT = Path(__file__).parents[2]


def make() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def text(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


def shown(key: asyncssh.SSHKey, host: str = "node01", port: int = 22) -> HostKey:
    pattern = pattern_of(host, port)
    return HostKey(
        host=host,
        pattern=pattern,
        algorithm=key.get_algorithm(),
        fingerprint=key.get_fingerprint(),
        line=f"{pattern} {text(key)}",
    )


def hashed(name: str) -> str:
    salt = b"twenty bytes of salt"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("entry", ["node01", "node0?", "*,!node02", "other,node01", hashed("node01")])
def test_another_key_under_any_form_of_the_name_is_a_change(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"{entry} {text(make())}\n", encoding="ascii")
    known = KnownHosts([path])
    assert isinstance(known.refusal("node01", make(), "node01", "", 22, ""), KeyChanged)


def test_a_port_has_its_own_entry_and_falls_back_to_the_plain_name(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"[node01]:2222 {text(make())}\nnode02 {text(make())}\n", encoding="ascii")
    known = KnownHosts([path])
    assert isinstance(known.refusal("a", make(), "node01", "", 2222, ""), KeyChanged)
    assert isinstance(known.refusal("a", make(), "node01", "", 22, ""), KeyUnknown)
    assert isinstance(known.refusal("a", make(), "node02", "", 2222, ""), KeyChanged)


def test_a_line_that_cannot_be_read_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    key = make()
    path.write_text(f"garbage\n@strange * {text(key)}\n|1|bad|hash {text(key)}\nnode01 {text(key)}\n", encoding="ascii")
    known = KnownHosts([path, tmp_path / "absent"])
    assert key in known.record.match("node01", "", None)[0]
    assert [f"line {n}" in note for n, note in zip((1, 2, 3), known.notes, strict=True)] == [True] * 3


def test_files_are_parsed_once_and_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    cache = KnownHostsCache()
    empty = cache.get([path])
    assert cache.get([path]) is empty
    path.write_text(f"node01 {text(make())}\n", encoding="ascii")
    filled = cache.get([path])
    assert filled is not empty
    assert cache.get([path]) is filled


def test_trusting_writes_only_our_own_file_and_only_what_is_new(tmp_path: Path) -> None:
    users, ours = tmp_path / "users", tmp_path / "state" / "known_hosts"
    old, new = make(), make()
    users.write_text(f"node01 {text(old)}", encoding="ascii")
    known = KnownHosts([ours, users])
    assert trust([shown(old), shown(new, "node02")], known, ours) == (shown(new, "node02"),)
    assert users.read_text(encoding="ascii") == f"node01 {text(old)}"
    assert ours.read_text(encoding="ascii") == f"node02 {text(new)}\n"
    assert new in KnownHosts([ours]).record.match("node02", "", None)[0]


def test_a_changed_key_is_never_trusted_over_the_old_one_and_nothing_of_the_batch_is_stored(tmp_path: Path) -> None:
    users, ours = tmp_path / "users", tmp_path / "known_hosts"
    users.write_text(f"node01 {text(make())}\n", encoding="ascii")
    with pytest.raises(KeyChanged, match="ssh-keygen -R 'node01'"):
        trust([shown(make(), "node02"), shown(make())], KnownHosts([users]), ours)
    assert not ours.exists()


def test_a_key_recorded_twice_is_named_once(tmp_path: Path) -> None:
    users, ours, old = tmp_path / "users", tmp_path / "known_hosts", make()
    for file in (users, ours):
        file.write_text(f"node01 {text(old)}\n", encoding="ascii")
    with pytest.raises(KeyChanged) as caught:
        trust([shown(make())], KnownHosts([users, ours]), ours)
    assert str(caught.value).count(old.get_fingerprint()) == 1


def test_a_revoked_key_is_never_trusted(tmp_path: Path) -> None:
    users, key = tmp_path / "users", make()
    users.write_text(f"@revoked * {text(key)}\n", encoding="ascii")
    with pytest.raises(KeyChanged, match="revoked"):
        trust([shown(key)], KnownHosts([users]), tmp_path / "known_hosts")


def test_several_who_trust_at_once_lose_no_line(tmp_path: Path) -> None:
    ours = tmp_path / "known_hosts"
    keys = [shown(make(), f"node{number:02}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: trust([key], KnownHosts([]), ours), keys))
    assert sorted(ours.read_text(encoding="ascii").splitlines()) == sorted(key.line for key in keys)


def test_without_a_terminal_only_expected_fingerprints_are_chosen() -> None:
    good, bad = shown(make(), "node01"), shown(make(), "node02")
    expected = {"node01": [good.fingerprint + "="], "node02": [good.fingerprint]}
    assert choose([good], expected) == (good,)
    with pytest.raises(KeyUnknown, match="none of them is the expected one"):
        choose([good, bad], expected)
    with pytest.raises(KeyUnknown, match="no fingerprint was given"):
        choose([bad], {})


def test_no_source_file_switches_host_key_checking_off() -> None:
    needles = ("known_hosts" + "=None", "AutoAdd" + "Policy", "StrictHostKeyChecking" + "=no")
    for path in (*ROOT.glob("console/**/*.py"), *ROOT.glob("tests/**/*.py")):
        squeezed = "".join(path.read_text(encoding="utf-8").split())
        assert not any(needle in squeezed for needle in needles), path
