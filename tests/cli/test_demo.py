"""The demo runs every shipped matrix, marks every figure simulated, and writes what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.catalog import shelf


@pytest.mark.timeout(900)
def test_the_demo_shows_every_matrix_with_every_figure_marked_simulated(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("INSTINCT_", "HF_"))}
    env |= {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "console", "demo", "--headless", "-o", str(tmp_path / "all.json")]

    done = subprocess.run(argv, env=env, text=True, capture_output=True, timeout=840)

    assert done.returncode == 0, done.stderr[-2000:]
    catalog = shelf.load()
    for matrix in catalog.matrices.values():
        assert f"{matrix.title} (simulated by the embedded lab" in done.stdout
    rows = json.loads((tmp_path / "all.json").read_text())["rows"]
    cells = {(matrix.name, cell.id) for matrix in catalog.matrices.values() for cell in matrix.cells}
    assert {(row["matrix"], row["cell"]) for row in rows} == cells
    assert all(row["simulated"] for row in rows)
    assert {row["state"] for row in rows} == {"ok"}, [row for row in rows if row["state"] != "ok"]
    assert {row["reference_set"] for row in rows} == {"lab"}
    declared = {(matrix.name, cell.id): cell.metric for matrix in catalog.matrices.values() for cell in matrix.cells}
    assert {(row["matrix"], row["cell"]): row["metric"] for row in rows} == declared
    assert done.stdout.count("(simulated)") >= len(rows)
    assert list(tmp_path.glob("instinct*")) == []
