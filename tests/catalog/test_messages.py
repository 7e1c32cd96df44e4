"""Every kind of mistake in a file is one line: file, line, key path, and the nearest known name.

What is said stands in `messages.golden`: the mistake, the line it was made in, and the message.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from console.catalog.errors import BrokenProfiles
from console.catalog.shelf import load

Write = Callable[[str, str], Path]

IMAGE = """\
program = "vllm"
source = "our registry"

[[image]]
name = "ours"
ref = "registry.example/vllm:ours"

[image.vllm]
engine = "V1"
entry = "bench"
"""

REFERENCES = """\
set = "own"
source = "our acceptance run"

[[table]]
matrix = "vllm-0.8.5-throughput"
unit = "tok/s"
under = { gpu = "MI325X" }
columns = [
  { image = "rocm6.3.1_vllm_0.8.5_20250521", dated = "2026-01-31" },
  { image = "rocm6.4.1_vllm_0.10.0_20250812", dated = "2026-02-01" },
]

[table.figures]
"llama-3.1-70b-in128-out2048-n3200" = ["20123.4", "-"]
"""

SERVER = """\
name = "mine"
title = "Mine"
gpu = "MI300X"
gpus = 8
cpu = "any"
sockets = 2
source = "us"
expect = [
  { fact = "gpu.count", accept = [8] },
  { fact = "system.numa_balancing", accept = [0], level = "advised" },
]
"""

GPU = """\
name = "MI999"
arch = "gfx942"
"""

FILES = {
    "matrix": "matrices/mine.toml",
    "image": "images/mine.toml",
    "references": "references/mine.toml",
    "server": "servers/mine.toml",
    "gpu": "gpus/mine.toml",
}

MISTAKES = {
    "an unknown key of a row": ("matrix", "input_len = 512", "inptu_len = 512"),
    "an unknown key at the top": ("matrix", 'server = "mi325x-2x9654"', 'server = "mi325x-2x9654"\nservr = 1'),
    "an unknown parameter for all rows": ("matrix", "tensor_parallel = 8", "tensor_parallel = 8\ntensorparallel = 4"),
    "an unknown key of a group": ("matrix", 'title = "Llama 3.1 8B"', 'title = "Llama 3.1 8B"\nprecison = "FP8"'),
    "a wrong type in a row": ("matrix", "input_len = 512", 'input_len = "512"'),
    "a wrong type for all rows": ("matrix", "tensor_parallel = 8", "tensor_parallel = 8.5"),
    "a date without quotes": ("matrix", 'dated = "2026-01-31"', "dated = 2026-01-31"),
    "a date that is none": ("matrix", 'dated = "2026-01-31"', 'dated = "31.1.2026"'),
    "a word that is none of the allowed": ("matrix", 'precision = "FP8"', 'precision = "FP8"\nrecipe = "exakt"'),
    "a missing parameter": ("matrix", "input_len = 512, ", ""),
    "a missing key of the file": ("matrix", 'source = "our acceptance test"\n', ""),
    "a missing key nowhere above the row": ("matrix", "gpus_per_node = 8\n", ""),
    "a figure without a unit": ("matrix", 'unit = "tok/s"\n', ""),
    "a figure that is none": ("matrix", '"1,234.5"', '"about 1200"'),
    "two rows with one id": ("matrix", "input_len = 512", "input_len = 128"),
    "an id that is none": ("matrix", "{ input_len = 512", '{ id = "my cell", input_len = 512'),
    "an unknown name in the id": ("matrix", "-in{input_len}", "-in{inputlen}"),
    "an unknown model": ("matrix", "amd/Llama-3.1-8B-Instruct-FP8-KV", "amd/Llama-3.1-8B-FP8-KV"),
    "an unknown image": ("matrix", "_20250521", "_20250522"),
    "an unknown metric": ("matrix", '"output_tokens_per_s"', '"tokens_per_s"'),
    "an unknown server": ("matrix", "mi325x-2x9654", "mi325x-2x9655"),
    "an unknown workload": ("matrix", 'workload = "vllm-throughput"', 'workload = "vllm-thruput"'),
    "an unknown column": ("matrix", 'key = "title"', 'key = "tilte"'),
    "a group without rows": ("matrix", "rows = [", "row = ["),
    "an unknown and a missing key of an image's traits": ("image", "entry", "entri"),
    "an engine that is none": ("image", '"V1"', '"V2"'),
    "traits in the wrong table": ("image", "[image.vllm]", "[image.container]"),
    "a program that is none": ("image", '"vllm"', '"vlm"'),
    "a digest that is none": ("image", 'name = "ours"', 'name = "ours"\ndigest = "sha256:xyz"'),
    "a figure of an unknown cell": ("references", "-n3200", "-n3300"),
    "too few figures": ("references", ', "-"]', "]"),
    "a figure in words": ("references", '"-"]', '"n/a"]'),
    "a figure without its list": ("references", '["20123.4", "-"]', "20123.4"),
    "figures of an unknown matrix": ("references", "-throughput", "-thruput"),
    "figures without a unit": ("references", 'unit = "tok/s"\n', ""),
    "a set that is none": ("references", 'set = "own"', 'set = "mine"'),
    "figures of an unknown image": (
        "references",
        '{ image = "rocm6.4.1_vllm_0.10.0_20250812"',
        '{ image = "rocm6.4.1_vllm_0.10.0"',
    ),
    "figures without a GPU": ("references", 'under = { gpu = "MI325X" }\n', ""),
    "a vLLM image that does not say how it is called": ("image", '[image.vllm]\nengine = "V1"\nentry = "bench"\n', ""),
    "a server with an unknown GPU": ("server", 'gpu = "MI300X"', 'gpu = "MI300Y"'),
    "a GPU with a wrong type and without the rest": ("gpu", 'arch = "gfx942"', "arch = 9"),
    "an expectation with an unknown level": ("server", 'level = "advised"', 'level = "advice"'),
}


def problems(folder: Path) -> list[str]:
    """What loading the folder beside the shipped catalog complains of, with paths relative to it."""
    with pytest.raises(BrokenProfiles) as caught:
        load([folder])
    lines = str(caught.value).splitlines()
    assert lines == [str(problem) for problem in caught.value.problems]
    return [line.replace(f"{folder}/", "") for line in lines]


@pytest.fixture(scope="module")
def golden() -> dict[str, str]:
    text = (Path(__file__).parent / "messages.golden").read_text(encoding="utf-8")
    return {head: body for head, _, body in (part.partition("\n") for part in text.split("## ")[1:])}


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_mistake_is_named_with_its_place(
    write: Write, matrix_text: str, golden: dict[str, str], mistake: str
) -> None:
    kind, old, new = MISTAKES[mistake]
    right = {"matrix": matrix_text, "image": IMAGE, "references": REFERENCES, "server": SERVER, "gpu": GPU}[kind]
    assert old in right
    text = right.replace(old, new, 1)
    said = []
    for problem in problems(write(FILES[kind], text)):
        number = problem.split(":")[1].strip()
        if number.isdigit():
            said.append(f"    {text.splitlines()[int(number) - 1].strip()}")
        said.append(problem)
    assert "\n".join(said) == golden[mistake].strip("\n")


def test_every_golden_message_has_its_mistake(golden: dict[str, str]) -> None:
    assert list(golden) == list(MISTAKES)


@pytest.mark.parametrize("kind", ["image", "references", "server"])
def test_the_files_the_mistakes_are_made_in_are_right(write: Write, kind: str) -> None:
    load([write(FILES[kind], {"image": IMAGE, "references": REFERENCES, "server": SERVER}[kind])])


def test_broken_toml_is_named_with_line_and_column(write: Write, matrix_text: str) -> None:
    (line,) = problems(write("matrices/mine.toml", matrix_text.replace('title = "My rows"', 'title = "My rows')))
    assert line.startswith("matrices/mine.toml:2: not valid TOML: ")
    assert " at column " in line


def test_all_mistakes_of_all_files_are_listed_at_once(write: Write, matrix_text: str) -> None:
    write("matrices/mine.toml", matrix_text.replace("input_len = 512", "inptu_len = 512, otput_len = 1"))
    write("servers/mine.toml", SERVER.replace("sockets = 2", 'sockets = "two"'))
    folder = write("models/broken.toml", "id = \n")
    assert [line.split(": ")[0] for line in problems(folder)] == [
        "servers/mine.toml:6",
        "models/broken.toml:1",
        "matrices/mine.toml:23",
        "matrices/mine.toml:23",
    ]


def test_a_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "bytes.toml").write_bytes(b"id = \xff\xfe")
    assert problems(tmp_path) == ["models/bytes.toml: cannot be read: not UTF-8 text"]
