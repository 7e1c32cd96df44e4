"""What an attempt leaves on its host: the receipt, in a folder whose name is data and never shell text."""

from pathlib import Path

import pytest

from console.fleet.host import Fleet, Host
from console.fleet.links import Links
from console.runs.docker_site import DockerSite
from console.runs.site import SiteError


def fleet(scratch: str) -> Fleet:
    return Fleet(path=Path("fleet.toml"), hosts=(Host(name="here", address="local", scratch=scratch),))


async def leave(scratch: str, receipt: bytes) -> None:
    links = Links(fleet(scratch))
    try:
        await DockerSite(links, links.fleet).leave_receipt("here", "a1", receipt)
    finally:
        await links.close()


async def test_a_receipt_is_written_whole_wherever_scratch_is(tmp_path: Path) -> None:
    scratch = tmp_path / "it's $(touch x) & more"
    receipt = bytes(range(256)) * 400
    await leave(str(scratch), receipt)
    assert [file.name for file in (scratch / "receipts").iterdir()] == ["a1.json"]
    assert (scratch / "receipts" / "a1.json").read_bytes() == receipt
    assert (scratch / "receipts" / "a1.json").stat().st_mode & 0o077 == 0


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SiteError, match=r"here: .*file/receipts cannot be written"):
        await leave(str(tmp_path / "file"), b"{}")
