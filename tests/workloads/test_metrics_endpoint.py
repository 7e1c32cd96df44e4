"""Prometheus text of a vLLM server to samples, old and new names."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.workloads.metrics_endpoint import MetricsEndpoint

Data = Callable[[str], bytes]
SECOND = 1_000_000_000


def answer(generated: float, kv: str = "kv_cache_usage_perc", used: float = 0.25) -> bytes:
    return (
        "# HELP vllm:generation_tokens_total Number of generation tokens processed.\n"
        f'vllm:generation_tokens_total{{engine="0",model_name="a b}}"}} {generated}\n'
        'vllm:generation_tokens_created{engine="0"} 1.795384757081e+09\n'
        f'vllm:prompt_tokens_total{{model_name="m"}} {2 * generated}\n'
        'vllm:num_requests_running{model_name="m"} 16.0\n'
        'vllm:num_requests_waiting{model_name="m"} 4.0\n'
        'vllm:num_requests_waiting_by_reason{reason="capacity"} 99.0\n'
        f'vllm:{kv}{{model_name="m"}} {used}\n'
        'vllm:num_preemptions_total{model_name="m"} 3.0\n'
    ).encode()


@pytest.mark.parametrize("kv", ["kv_cache_usage_perc", "gpu_cache_usage_perc"])
def test_the_rate_is_what_the_counter_grew_by_over_the_time_between(kv: str) -> None:
    endpoint = MetricsEndpoint()
    first = endpoint.read(10 * SECOND, answer(1000, kv))
    second = endpoint.read(12 * SECOND, answer(1500, kv))
    assert first is not None
    assert second is not None
    assert first.rate is None
    assert (second.rate, second.prompt_tokens_per_s) == (250.0, 500.0)
    assert (second.source, second.metric) == ("metrics endpoint", "output_tokens_per_s")
    assert (second.running, second.waiting, second.kv_cache_used) == (16, 4, 0.25)
    assert second.extra == {"output_tokens": 1500.0, "preemptions": 3.0}


def test_a_restarted_server_gives_no_negative_rate() -> None:
    endpoint = MetricsEndpoint()
    endpoint.read(1 * SECOND, answer(1000))
    reset = endpoint.read(2 * SECOND, answer(10))
    after = endpoint.read(3 * SECOND, answer(110))
    assert reset is not None
    assert after is not None
    assert (reset.rate, after.rate) == (None, 100.0)


def test_two_answers_at_one_time_give_no_rate() -> None:
    endpoint = MetricsEndpoint()
    endpoint.read(SECOND, answer(1))
    sample = endpoint.read(SECOND, answer(2))
    assert sample is not None
    assert sample.rate is None


def test_engines_are_added_up_and_their_cache_use_averaged() -> None:
    two = b"".join(
        b'vllm:generation_tokens_total{engine="%d"} 100.0\nvllm:kv_cache_usage_perc{engine="%d"} 0.%d\n' % (n, n, n + 2)
        for n in range(2)
    )
    sample = MetricsEndpoint().read(1, two)
    assert sample is not None
    assert sample.extra["output_tokens"] == 200.0
    assert sample.kv_cache_used == 0.25


def test_the_new_name_of_the_cache_use_stands_where_both_are_exposed() -> None:
    both = answer(1, "gpu_cache_usage_perc", 0.5) + b'vllm:kv_cache_usage_perc{model_name="m"} 0.75\n'
    sample = MetricsEndpoint().read(1, both)
    assert sample is not None
    assert sample.kv_cache_used == 0.75


def test_real_answers_of_a_current_server(data: Data) -> None:
    endpoint = MetricsEndpoint()
    endpoint.read(10 * SECOND, data("0.32.0/metrics_idle.txt"))
    running = endpoint.read(12 * SECOND, data("0.32.0/metrics_run.txt"))
    ended = endpoint.read(20 * SECOND, data("0.32.0/metrics_end.txt"))
    assert running is not None
    assert ended is not None
    assert running.rate == 2975.0 / 2
    assert (running.running, running.waiting) == (16, 0)
    assert running.kv_cache_used == pytest.approx(0.00189, abs=1e-5)
    assert ended.rate == (ended.extra["output_tokens"] - 2975.0) / 8
    assert ended.running == 0


@given(st.binary(max_size=300))
def test_anything_else_is_no_sample(body: bytes) -> None:
    assert MetricsEndpoint().read(1, body) is None


def test_odd_values_are_left_out() -> None:
    body = b"vllm:generation_tokens_total 5\nvllm:num_requests_running NaN\nvllm:kv_cache_usage_perc +Inf\n"
    sample = MetricsEndpoint().read(1, body + b"vllm:num_requests_waiting 1e9e9\n")
    assert sample is not None
    assert (sample.running, sample.waiting, sample.kv_cache_used) == (None, None, None)
