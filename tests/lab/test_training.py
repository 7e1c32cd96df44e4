"""What the played training programs print on one node, and how they fail."""

import csv
import io
import math
import random
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from console.lab import programs
from console.lab.acts import Exit, Say, Surroundings, Wait
from console.lab.clock import Clock
from console.lab.files import Files, MountPoint
from console.lab.logs import STDOUT
from console.lab.rendezvous import Fabric
from console.lab.specs import KIND_BY_SERVER

FSDP = "torchrun --nnodes=1 --node_rank=0 --nproc_per_node=8 --master_addr=0.0.0.0 --master_port=12234 ./train_fsdp.py"
LLAMA_8K = f"{FSDP} configs/llama-3.1-8b-8k.json llama --batch_size 3"
TITAN = "bash run_llama_train.sh --training.batch_size 4 --training.seq_len 8192 --training.steps 50"
LLAMA3 = {
    "TEE_OUTPUT": "1", "MBS": "2", "BS": "128", "TP": "1", "TE_FP8": "1", "SEQ_LENGTH": "8192", "MODEL_SIZE": "8",
    "TOTAL_ITERS": "50", "HF_TOKEN": "hf_given",
}  # fmt: skip
DEEPSEEK = {
    "GEMM_TUNING": "1", "PR": "bf16", "MBS": "4", "AC": "none", "SEQ_LEN": "4096", "PAD_LEN": "4096",
    "TRAIN_ITERS": "50",
}  # fmt: skip
LLAMA3_SCRIPT, DEEPSEEK_SCRIPT = "bash examples/llama/train_llama3.sh", "bash examples/deepseek_v2/train_deepseekv2.sh"
ITERATION = re.compile(
    r"^ \[[\d :-]{19}\] iteration +(\d+)/ +50 \| consumed samples: +(\d+) \| "
    r"elapsed time per iteration \(ms\): ([\d.]+) \| "
    r"(?:mem usages: ([\d.]+) \| throughput per GPU \(TFLOP/s/GPU\): ([\d.]+) \| )?learning rate: ",
    re.MULTILINE,
)
PYTORCH, MEGATRON = "rocm/pytorch-training", "rocm/megatron-lm"


class Played:
    """A play to its end, or to its first endless wait."""

    def __init__(self, around: Surroundings) -> None:
        program = programs.find(around)
        assert program is not None
        self.out, self.err, self.took = "", "", 0.0
        self.exit: Exit | None = None
        for act in program:
            if isinstance(act, Wait):
                self.took += act.s
                if act.s == math.inf:
                    break
            elif isinstance(act, Say):
                if act.stream == STDOUT:
                    self.out += act.data.decode()
                else:
                    self.err += act.data.decode()
            elif isinstance(act, Exit):
                self.exit = act
                break
        self.files = around.files

    @property
    def code(self) -> int:
        assert self.exit is not None, "the program waits for ever"
        return self.exit.code


Play = Callable[..., Played]


@pytest.fixture
def play(folder: Path) -> Play:
    """Play a command line in a training image on a host with eight GPUs."""
    fabric = Fabric()

    def go(
        line: str | tuple[str, ...], image: str = PYTORCH, *, env: dict[str, str] | None = None, fault: str = "",
        server: str = "mi300x-2x9654", gpus: int = 8, token: str = "", seed: int = 0,
    ) -> Played:  # fmt: skip
        around = Surroundings(
            argv=line if isinstance(line, tuple) else tuple(line.split()),
            env=env or {},
            host="h",
            kind=KIND_BY_SERVER[server],
            vllm=None,
            rocm="6.3.4",
            gpus=gpus,
            files=Files(folder, (MountPoint("/data", "/data", False),), (), "/workspace"),
            clock=Clock(60.0),
            rng=random.Random(seed),
            fault=fault,
            ports={},
            wall=lambda: 0.0,
            fabric=fabric,
            image=image,
            token=token,
        )
        return Played(around)

    return go


def wrapped(program: str, *arguments: str) -> tuple[str, ...]:
    """A set-up script around a program that tells in one line why it gives up."""
    return (
        "bash",
        "-c",
        f"say() {{ printf 'instinct set-up: %s\\n' \"$1\" >&2; exit 78; }}\n{program}",
        "x",
        *arguments,
    )


# -------------------------------------------------------------------- train_fsdp.py


def test_train_fsdp_warms_up_for_half_of_its_steps_and_then_measures(play: Play) -> None:
    done = play(LLAMA_8K)
    warm = re.findall(r"^warming up iter: (\d+)/64\.0; TFLOP/s: ", done.out, re.M)
    steps = re.findall(
        r"^Step: (\d+); TFLOP/s: ([\d.]+); iteration time: ([\d.]+); token per second: ([\d.]+)$", done.out, re.M
    )
    assert (len(warm), steps[0][0], steps[-1][0]) == (65, "65", "127")
    mean = statistics.fmean(float(step[2]) for step in steps)
    found = re.search(r"^Avg iter time: ([\d.]+)$", done.out, re.M)
    assert found is not None
    assert float(found[1]) == pytest.approx(mean)
    assert all(float(step[1]) * float(step[2]) == pytest.approx(24576 * 57.913e9 / 1e12, rel=1e-3) for step in steps)
    assert done.code == 0


def test_train_fsdp_ends_its_figure_with_a_comma_in_the_place_of_a_colon(play: Play) -> None:
    done = play(LLAMA_8K)
    assert re.search(r"^Avg TFLOP/s, 4\d\d\.\d{6,}$|^Avg TFLOP/s, 5\d\d\.\d{6,}$", done.out, re.M)
    assert re.search(r"^Peak memory use = \d+\.\d\dMB$", done.out, re.M)


def test_fp8_is_faster_and_never_compiled(play: Play) -> None:
    plain, fp8 = play(LLAMA_8K), play(f"{LLAMA_8K} --enable_fp8 True")
    assert "Compiling model...." in plain.out
    assert "PyTorch compile currently doesn't work with Transformer Engine." in fp8.out
    assert "Compiling model" not in fp8.out
    assert fp8.took < plain.took


def test_steps_and_batch_come_from_the_command_line(play: Play) -> None:
    done = play(f"{FSDP} configs/mistral-7b-v0.1.json mistral --batch_size 4 --num_iteration 16")
    assert "warming up iter: 0/8.0; " in done.out
    assert "TFLOP per iteration: " + str(32768 * 44.273e9 / 1e12)[:4] in done.out


def test_a_wrong_option_or_settings_file_ends_the_program(play: Play) -> None:
    assert "unrecognized arguments: --batches" in play(f"{FSDP} configs/llama-3.1-8b-8k.json llama --batches 3").err
    missing = play(f"{FSDP} configs/llama-9.json llama --batch_size 3")
    assert (missing.code, "FileNotFoundError" in missing.err) == (1, True)


# -------------------------------------------------------------------- torchtitan


def test_torchtitan_colours_the_fields_of_its_lines(play: Play) -> None:
    done = play(TITAN)
    lines = [line for line in done.err.splitlines() if "step: " in line]
    assert len(lines) == 50
    form = (
        r"\[rank0\]:\[titan\] [\d-]{10} [\d:,]{12} - root - INFO - \x1b\[31mstep:  7  \x1b\[32mloss: 1\d\.\d{4}  "
        r"\x1b\[33mmemory: \d+\.\d\dGiB\(\d\d\.\d\d%\)  \x1b\[34mtps: \d{3}  \x1b\[36mtflops: \d{3}\.\d\d  "
        r"\x1b\[35mmfu: \d\d\.\d\d%\x1b\[39m"
    )
    assert re.fullmatch(form, lines[6])
    assert "Training completed" in done.err.splitlines()[-1]
    assert done.out == ""


def test_torchtitan_separates_thousands(play: Play) -> None:
    done = play(TITAN, server="mi355x")
    assert re.search(r"tps: 1,\d{3}  ", done.err)


def test_torchtitan_logs_as_often_as_it_is_told(play: Play) -> None:
    done = play(wrapped("exec bash run_llama_train.sh", "batch_size=4", "seq_len=8192", "steps=50", "log_freq=10"))
    assert re.findall(r"step: ( ?\d+)  ", done.err) == [" 1", "10", "20", "30", "40", "50"]


# -------------------------------------------------------------------- FLUX


def test_flux_runs_both_batches_and_sums_them_up_without_their_first_steps(play: Play) -> None:
    done = play(wrapped('tail -F outputs/runs/sweep_000/*_logs*.txt & "$@"', "python", "launcher.py"))
    steps = re.findall(
        r"INFO - Step (\d+): \{.*?'step_time': ([\d.]+), 'fps_gpu': ([\d.]+), 'tflops/s': ([\d.]+)\}", done.out
    )
    assert len(steps) == 200
    table = done.files.read("/workspace/FluxBenchmark/outputs/runs/sweep_000/runs_summary.csv")
    assert table is not None
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    assert [row["train_batch_size"] for row in rows] == ["1", "10"]
    counted = [float(fps) for _, _, fps, _ in steps[100:]][5:]
    assert float(rows[-1]["avg_fps"]) == pytest.approx(statistics.fmean(counted), rel=1e-3)
    order = [
        "Total runs to execute: 2",
        "Starting run 1/2",
        "Run 1 completed",
        "Starting run 2/2",
        "All runs completed.",
    ]
    places = [done.out.index(text) for text in order]
    assert places == sorted(places)


def test_flux_keeps_its_steps_in_log_files(play: Play) -> None:
    done = play("python launcher.py")
    assert "Step 1:" not in done.out
    log = done.files.read("/workspace/FluxBenchmark/outputs/runs/sweep_000/1_logs_flux_mini_benchmark.txt")
    assert log is not None
    assert b" - INFO - Step 100: {'step_loss': " in log


@pytest.mark.parametrize("fault", ["no-result-file", "truncated-result", "not-json"])
def test_the_summary_of_flux_can_be_spoiled(play: Play, fault: str) -> None:
    done = play("python launcher.py", fault=fault)
    table = done.files.read("/workspace/FluxBenchmark/outputs/runs/sweep_000/runs_summary.csv")
    assert table is None or b"1_flux_mini_benchmark" not in table


# -------------------------------------------------------------------- Megatron-LM


def summary(text: str, name: str) -> float:
    found = re.search(rf"^{name}: ([\d.]+|nan)$", text, re.M)
    assert found is not None, name
    return float(found[1])


def test_megatron_sums_up_all_iterations_but_the_first_two_and_the_last(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env=LLAMA3)
    rows = ITERATION.findall(done.out)
    assert [int(row[0]) for row in rows] == list(range(1, 51))
    assert int(rows[-1][1]) == 50 * 128
    tflops = statistics.fmean(float(row[4]) for row in rows[2:-1])
    ms = statistics.fmean(float(row[2]) for row in rows[2:-1])
    assert summary(done.out, "throughput per GPU") == pytest.approx(tflops)
    assert summary(done.out, "elapsed time per iteration") == pytest.approx(ms)
    assert summary(done.out, "tokens/GPU/s") == pytest.approx(128 * 8192 * 1000 / ms / 8)
    assert float(rows[0][2]) > 3 * ms
    assert done.out.index("[after training is done]") < done.out.index("throughput per GPU: ")


def test_every_rank_tells_its_memory_once_and_two_of_them_in_one_line(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env=LLAMA3)
    ranks = re.findall(r"\[Rank (\d)\] \(after 1 iterations\) memory \(MB\) \| allocated: [\d.]+ \|", done.out)
    assert ranks == list("01234567")
    assert sum(line.count("[Rank ") == 2 for line in done.out.splitlines()) == 1


def test_deepseek_prints_no_tflops(play: Play) -> None:
    done = play(DEEPSEEK_SCRIPT, MEGATRON, env=DEEPSEEK)
    rows = ITERATION.findall(done.out)
    assert len(rows) == 50
    assert "TFLOP" not in done.out
    assert "throughput per GPU" not in done.out
    ms = statistics.fmean(float(row[2]) for row in rows[1:-1])
    assert summary(done.out, "tokens/GPU/s") == pytest.approx(256 * 4096 * 1000 / ms / 8)


def test_a_size_the_script_does_not_have_is_refused(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env={**LLAMA3, "MODEL_SIZE": "9"})
    assert (done.code, "Model size not supported." in done.out) == (1, True)


def test_too_few_iterations_leave_a_summary_without_figures(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env={**LLAMA3, "TOTAL_ITERS": "3"})
    assert "throughput per GPU: nan" in done.out
    assert done.code == 0


def test_output_can_go_to_the_log_file_alone(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env={**LLAMA3, "TEE_OUTPUT": "0", "LOG_DIR": "/data/logs"})
    assert "iteration" not in done.out.replace("elapsed time per iteration", "")
    log = done.files.read("/data/logs/output_perf.log")
    assert log is not None
    assert len(ITERATION.findall(log.decode())) == 50


def test_a_host_without_rdma_links_sees_a_harmless_traceback(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env=LLAMA3)
    assert "IndexError: list index out of range" in done.err
    assert done.code == 0


# -------------------------------------------------------------------- failures


def test_a_program_is_only_in_its_own_image(play: Play) -> None:
    assert play(LLAMA_8K, MEGATRON).code == programs.NOT_PLAYED
    assert play(LLAMA3_SCRIPT, PYTORCH, env=LLAMA3).code == programs.NOT_PLAYED


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("rank-dies", "traceback : Signal 9 (SIGKILL) received by PID"),
        ("oom", "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 7.83 GiB. GPU 3 has a total capacity"),
        ("gpu-hang", "Memory access fault by GPU node-7"),
        ("stall", "Watchdog caught collective operation timeout: WorkNCCL(SeqNum="),
        ("port-in-use", "name: EADDRINUSE, message: address already in use"),
        ("dies-at-once", "ImportError: libamdhip64.so.6"),
    ],
)
@pytest.mark.parametrize("program", ["fsdp", "titan", "megatron"])
def test_named_failures(play: Play, program: str, fault: str, said: str) -> None:
    line, image, env = {
        "fsdp": (LLAMA_8K, PYTORCH, {}),
        "titan": (TITAN, PYTORCH, {}),
        "megatron": (wrapped('bash "$1"', "examples/llama/train_llama3.sh"), MEGATRON, LLAMA3),
    }[program]
    done = play(line, image, env=env, fault=fault)
    assert done.code == 1
    assert said in done.err


def test_a_crash_hides_behind_tee_and_a_summary_without_figures(play: Play) -> None:
    done = play(LLAMA3_SCRIPT, MEGATRON, env=LLAMA3, fault="oom")
    assert "HIP out of memory" in done.err
    assert "throughput per GPU: nan" in done.out
    assert done.code == 0


def test_the_kernel_may_end_it_for_memory(play: Play) -> None:
    done = play(LLAMA_8K, fault="killed-for-memory")
    assert done.exit == Exit(137, oom=True)


def test_a_hang_is_silent_for_ever(play: Play) -> None:
    done = play(LLAMA_8K, fault="hang")
    assert done.exit is None
    assert "Step" not in done.out


@pytest.mark.parametrize(
    ("line", "image", "env", "said"),
    [
        (LLAMA_8K, PYTORCH, {}, r"^\d+ nan$"),
        (TITAN, PYTORCH, {}, r"loss:     nan  "),
        (wrapped("tail -F *_logs*.txt", "python", "launcher.py"), PYTORCH, {}, r"'step_loss': nan, "),
        (LLAMA3_SCRIPT, MEGATRON, LLAMA3, r"lm loss: nan \|.*number of nan iterations:   1 \|$"),
    ],
)
def test_a_loss_that_is_no_number_ends_nothing(
    play: Play, line: str | tuple[str, ...], image: str, env: dict[str, str], said: str
) -> None:
    done = play(line, image, env=env, fault="nan")
    assert re.search(said, done.out + done.err, re.M)
    assert done.code == 0


def test_a_batch_that_is_too_big_runs_out_of_memory(play: Play) -> None:
    line = f"{FSDP} configs/llama-3.1-8b-8k.json llama --batch_size 5"
    assert "HIP out of memory" in play(line).err
    assert play(line, server="mi325x-2x9654").code == 0


def test_without_gpus_nothing_starts(play: Play) -> None:
    assert "No HIP GPUs are available" in play(LLAMA_8K, gpus=0).err


def test_a_wrapper_that_explains_itself_gives_up_in_its_own_words(play: Play) -> None:
    line = wrapped(
        'bash "$1"', "examples/llama/train_llama3.sh", "meta-llama/Llama-3.1-8B", "abc", "/root/tokenizer_llama3"
    )
    env = {name: value for name, value in LLAMA3.items() if name != "HF_TOKEN"}
    gated = play(line, MEGATRON, env=env)
    assert gated.code == 78
    assert "instinct set-up: no token that may read meta-llama/Llama-3.1-8B/tokenizer.json (401)\n" in gated.err
    refused = play(line, MEGATRON, env=env, token="hf_x", fault="gated")
    assert "(403)" in refused.err
    poisoned = play(line, MEGATRON, env=env, token="hf_x", fault="poisoned-tokenizer")
    assert "instinct set-up: tokenizer folder /root/tokenizer_llama3 is there without a usable" in poisoned.err
    assert play(line, MEGATRON, env=env, token="hf_x").code == 0


def test_the_script_alone_poisons_its_tokenizer_folder(play: Play, folder: Path) -> None:
    env = {**LLAMA3, "HF_TOKEN": "hf_xxxx", "DATA_DIR": "/data/llama"}
    first = play(LLAMA3_SCRIPT, MEGATRON, env=env)
    assert "401 Unauthorized" in first.err
    assert list((folder / "data/llama/tokenizer_llama3").iterdir()) == []
    second = play(LLAMA3_SCRIPT, MEGATRON, env={**env, "HF_TOKEN": "hf_good"})
    assert "already exists. Skipping download." in second.out
    assert "OSError: Can't load tokenizer for" in second.err
    assert second.code == 1


def test_repeats_differ_by_noise_alone(play: Play) -> None:
    figures = [
        summary(play(LLAMA3_SCRIPT, MEGATRON, env=LLAMA3, seed=seed).out, "throughput per GPU") for seed in range(4)
    ]
    assert len(set(figures)) == 4
    assert max(figures) / min(figures) < 1.03
