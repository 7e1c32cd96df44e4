"""The shipped catalog, loaded once, and a way to write folders of profiles."""

from collections.abc import Callable
from pathlib import Path

import pytest

from console.catalog.shelf import Catalog, load

Write = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def shipped() -> Catalog:
    return load()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `matrices/mine.toml` and the like below the test's own folder; gives the folder."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tmp_path

    return put


@pytest.fixture
def matrix_text() -> str:
    """A small matrix file that is right as it stands."""
    return """\
name = "mine"
title = "My rows"
workload = "vllm-throughput"
image = "rocm6.3.1_vllm_0.8.5_20250521"
metric = "output_tokens_per_s"
unit = "tok/s"
source = "our acceptance test"
dated = "2026-01-31"
server = "mi325x-2x9654"
gpus_per_node = 8
precision = "FP8"
cell_id = "{title}-in{input_len}-out{output_len}"
columns = [{ heading = "Model", key = "title" }, { heading = "tok/s", key = "printed" }]

[parameters]
tensor_parallel = 8

[[group]]
model = "amd/Llama-3.1-8B-Instruct-FP8-KV"
title = "Llama 3.1 8B"
rows = [
  { input_len = 128, output_len = 128, num_prompts = 10, max_num_seqs = 10, printed = "1,234.5" },
  { input_len = 512, output_len = 128, num_prompts = 10, max_num_seqs = 10 },
]
"""
