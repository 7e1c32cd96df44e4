"""The status table from bundles and folders: rows, GPUs, differences, and what fits a narrow terminal."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.cli import printing, status_text
from console.desk.status import GpuRow, StatusRow

if TYPE_CHECKING:
    from tests.cli.conftest import RunCli
    from tests.cli.health.conftest import MakeRoot

NUMA_ON = {"proc/sys/kernel/numa_balancing": "1\n"}
OLD_BIOS = {"sys/class/dmi/id/bios_version": "1.7\n"}


def test_a_row_says_what_a_host_is(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    heading, row = cli("status", "--bundle", make_root("node01")).out.splitlines()
    cells = dict(zip(re.split(r"\s{2,}", heading), re.split(r"\s{2,}", row), strict=True))
    assert cells["host"] == "node01"
    assert cells["GPUs"] == "8x MI300X"
    assert cells["CPU"] == "2x EPYC 9554"
    assert (cells["NPS"], cells["BIOS"], cells["amdgpu"]) == ("1", "1.8", "6.8.5")
    assert cells["partition"] == "SPX/NPS1"
    assert cells["health"] == "pass"
    assert cells["VRAM"].endswith("/1536 GiB")


def test_bad_hosts_come_first(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    bundles = [make_root("node01"), make_root("node02", NUMA_ON), make_root("node03")]
    done = cli("status", *(word for bundle in bundles for word in ("--bundle", bundle)))
    assert [line.split()[0] for line in done.out.splitlines()] == ["host", "node02", "node01", "node03"]


def test_hosts_without_an_answer_come_first_with_why(cli: "RunCli", described: Path) -> None:
    done = cli("status", "node01")
    assert done.code == 3
    assert "no answer" in done.out
    assert "node01: " in done.err


def test_a_row_for_every_gpu(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    lines = cli("status", "--gpus", "--bundle", make_root("node01")).out.splitlines()
    assert len(lines) == 9
    assert all("MI300X" in line and "x16 32 GT/s" in line for line in lines[1:])


def test_gpus_of_several_hosts_keep_their_host_however_narrow(
    cli: "RunCli", described: Path, make_root: "MakeRoot", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "terminal_width", lambda: 40)
    one, two = make_root("node01"), make_root("node02")
    both = cli("status", "--gpus", "--bundle", one, "--bundle", two).out.splitlines()
    assert [line.split()[0] for line in both] == ["host", *["node01"] * 8, *["node02"] * 8]
    assert cli("status", "--gpus", "--bundle", one).out.split()[0] == "address"


def test_the_hosts_of_a_table_are_counted_below_it(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    roots = [make_root("node01"), make_root("node02", NUMA_ON), make_root("node03")]
    done = cli("status", *(word for root in roots for word in ("--bundle", root)))
    assert done.err.strip() == "3 hosts: 1 fail, 2 pass"
    assert cli("status", "--bundle", roots[0]).err == ""


def test_a_host_without_rows_among_the_gpus_says_why(cli: "RunCli", described: Path, tmp_path: Path) -> None:
    (tmp_path / "node01").mkdir()
    done = cli("status", "--gpus", "--bundle", tmp_path / "node01")
    assert done.err.strip() == "node01: its GPUs are not known (not there: /sys/bus/pci/devices)"


def test_json_has_facts_rows_and_gpus(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    found = json.loads(cli("status", "--json", "--bundle", make_root("node01")).out)
    assert found["hosts"][0]["host"] == found["rows"][0]["host"] == "node01"
    assert len(found["gpus"]) == 8
    assert found["problems"] == {}


def test_json_has_the_end_of_the_kernel_log_and_all_of_it_when_wide(
    cli: "RunCli", described: Path, make_root: "MakeRoot"
) -> None:
    lines = "\n".join(f"[{n:5}.000000] usb 1-1: line {n}" for n in range(300))
    root = make_root("node01", {"@commands/kernel.dmesg": f"[    0.000000] Linux version 5.15.0\n{lines}\n"})

    def log(*options: str) -> Any:
        return json.loads(cli("status", "--json", *options, "--bundle", root).out)["hosts"][0]["kernel_log"]["value"]

    assert [line["text"] for line in log()["lines"]] == [f"usb 1-1: line {n}" for n in range(250, 300)]
    assert log()["complete"] is False
    assert (len(log("--wide")["lines"]), log("--wide")["complete"]) == (301, True)


def test_only_what_differs_between_two_hosts(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    roots = ["--bundle", make_root("node01"), "--bundle", make_root("node02", OLD_BIOS)]
    done = cli("status", "--diff", "node01", "node02", *roots)
    assert [line.split() for line in done.out.splitlines()] == [["what", "node01", "node02"], ["bios", "1.8", "1.7"]]
    assert "do not differ" in cli("status", "--diff", "node01", "node01", *roots).err


def test_a_host_beside_most_of_its_kind(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    roots = [make_root("node01"), make_root("node02", OLD_BIOS), make_root("node03")]
    words = [word for root in roots for word in ("--bundle", root)]
    odd = cli("status", "--diff", "node02", "fleet", *words, "--json")
    assert json.loads(odd.out)["differences"] == [{"what": "bios", "left": "1.7", "right": "1.8 (2 of 3)"}]
    assert json.loads(cli("status", "--diff", "node01", "fleet", *words, "--json").out)["differences"] == []


def test_a_host_beside_its_profile(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    done = cli("status", "--diff", "node01", "profile", "--bundle", make_root("node01", OLD_BIOS), "--json")
    found = {item["what"]: item["right"] for item in json.loads(done.out)["differences"]}
    assert found["host.bios"] == "1.8"


def test_a_profile_is_learned_from_most_hosts(
    cli: "RunCli", described: Path, make_root: "MakeRoot", tmp_path: Path
) -> None:
    roots = [make_root("node01"), make_root("node02", OLD_BIOS), make_root("node03"), make_root("x1", server="mi355x")]
    folder = tmp_path / "own" / "servers"
    folder.mkdir(parents=True)
    path = folder / "rack2.toml"
    words = [word for root in roots for word in ("--bundle", root)]
    done = cli("profiles", "learn", "--name", "rack2", "-o", path, *words)
    assert done.code == 0
    assert "node02 differs: system.bios_version is 1.7, most have 1.8" in done.err
    assert "x1 is of another kind" in done.err
    own = ["--profiles", tmp_path / "own", "--server", "rack2"]
    assert cli("health", "--bundle", roots[0], *own).code == 0
    differs = cli("health", "--bundle", roots[1], *own)
    assert differs.code == 1
    assert "host.bios" in differs.out
    assert cli("profiles", "learn", "-o", path, *words).code == 2


def rows() -> list[StatusRow]:
    return [
        StatusRow(
            host="lab-mi300x-01",
            state="simulated",
            health="fail 2",
            gpus="8x MI300X",
            cpu="2x EPYC 9554",
            nps="1",
            bios="1.8",
            os="Ubuntu 22.04.5 LTS",
            kernel="5.15.0-116-generic",
            amdgpu="6.8.5",
            rocm="6.3.1-48",
            partition="SPX/NPS1",
            vram_used_bytes=2 << 30,
            vram_total_bytes=1536 << 30,
            hottest_c=43.0,
            power_w=1140.0,
            docker="27.3.1",
            running="ann: a01kan3, rocm/pytorch-training:v25.5",
        ),
        StatusRow(host="node02", state="no answer", why="connection refused; is sshd running?"),
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_a_terminal_of_any_width_shows_the_important_columns_whole(width: int) -> None:
    kept = status_text.fitting(status_text.HOST_COLUMNS, rows(), width)
    headings = [item.column.heading for item in kept]
    assert {"host", "health", "GPUs", "running"} <= set(headings)
    lines = printing.table_lines(
        [item.column for item in kept], [[item.cell(row) for item in kept] for row in rows()], width
    )
    assert max(map(printing.cell_width, lines)) <= width
    assert "fail 2" in lines[1]
    assert "8x MI300X" in lines[1]


def test_eighty_columns_show_load_and_that_it_is_simulated() -> None:
    kept = [item.column.heading for item in status_text.fitting(status_text.HOST_COLUMNS, rows()[:1], 80)]
    assert {"state", "health", "hottest", "power"} <= set(kept)


def test_no_terminal_no_cut() -> None:
    assert status_text.fitting(status_text.HOST_COLUMNS, rows(), None) == status_text.HOST_COLUMNS


def test_gpu_rows_fit_too() -> None:
    row = GpuRow(host="lab-mi300x-01", bdf="0000:05:00.0", model="MI300X")
    kept = status_text.fitting(status_text.GPU_COLUMNS, [row], 80)
    assert {"address", "power", "junction"} <= {item.column.heading for item in kept}
