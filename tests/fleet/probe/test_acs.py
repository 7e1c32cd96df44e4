"""PCIe access control: what lspci says counts only when it said all of it."""

import os
from pathlib import Path

import pytest

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe import acs
from console.fleet.probe.survey import script_values
from console.fleet.script import by_name, compose, new_nonce, sections
from console.model.facts import Known


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ("\t\tACSCtl:\tSrcValid+ TransBlk-\n\t\tACSCtl:\tSrcValid-\n", 0, 1),
        ("\t\tACSCtl:\tSrcValid-\n", 124, "did not answer in time"),
        ("\t\tACSCtl:\tSrcValid-\n", 1, "the command failed"),
        ("pcilib: Cannot open /proc/bus/pci\n", 0, "lspci shows no such capability"),
    ],
)
async def test_half_an_answer_of_lspci_is_no_answer(
    said: str, code: int, expected: int | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may ask lspci")
    (tmp_path / "answer").write_text(said)
    command = tmp_path / "lspci"
    command.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\nexit {code}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    of = Host(name="node01", address="local")
    nonce = new_nonce()
    script = compose((acs.AREA,), script_values(of, (), tools=True), nonce)
    done = await LocalLink(of).run(script, timeout_s=30)
    found = acs.parse(by_name(sections(done.stdout, nonce)))

    assert (found.value if isinstance(found, Known) else found.why) == expected
