"""A vLLM server and a client that loads it: AMD's "client-server" reading of the page.

The client decides; its container starts when the server is ready. Live figures are read from the server's `/metrics`.
"""

from collections.abc import Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement, Scrape
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, WorkloadError, register
from console.workloads.expected import tokens_measure_s
from console.workloads.places import RESULT_FILE, RESULT_FOLDER, RESULT_NAME
from console.workloads.vllm_engine import (
    SCRIPTS,
    check,
    engine_flags,
    environment,
    flag_deviations,
    need,
    traits_of,
)
from console.workloads.vllm_params import ServeParams
from console.workloads.vllm_serve_result import ClientReader, EitherReader, ServerReader

SERVER = "server"
CLIENT = "client"
_HOST = "127.0.0.1"


class Serve:
    """Output tokens/s, time to first token and time per token of a server under load."""

    name = "vllm-serve"
    params: type[msgspec.Struct] = ServeParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """As the offline run, and a free port: containers share the host's network."""
        params: ServeParams = cell.params
        check(cell, image, model)
        seconds = tokens_measure_s(cell, params.num_prompts, params.output_len)
        return need(cell, image, model, sequences=params.max_num_seqs, measure_s=seconds, ports=(params.port,))

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The server, which leads, and the client on the same seat."""
        params: ServeParams = cell.params
        traits = check(cell, image, model)
        if not image.container.network_host:
            raise WorkloadError(f"{cell.id}: server and client need the host's network; image {image.name} has it off")
        seat = at.seats[0].rank
        env = environment(params, traits, model)
        flags = engine_flags(params, traits, model)
        flags.remove("--model")
        flags.remove(model.id)
        server = (
            *("vllm", "serve", model.id, "--host", _HOST, "--port", str(params.port)),
            *flags,
            *("--max-num-seqs", str(params.max_num_seqs)),
            *traits.serve_server,
            *params.extra_args,
        )
        return (
            Command(
                part=SERVER,
                seat=seat,
                argv=server,
                env=env,
                decides=False,
                scrape=Scrape(port=params.port),
            ),
            Command(
                part=CLIENT,
                seat=seat,
                argv=_client(params, model, traits.serve_client, script=traits.serve_entry == "script"),
                env=env,
                files=(RESULT_FILE,),
                after=SERVER,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """Flags this image is not given."""
        return tuple(flag_deviations(cell, traits_of(image)))

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """The server's or the client's reader; without a cell, any other part name means not known which."""
        if part == SERVER:
            return ServerReader(cell)
        if part == CLIENT or cell is not None:
            return ClientReader(cell)
        return EitherReader()


def _client(params: ServeParams, model: ModelCard, kind: tuple[str, ...], *, script: bool) -> tuple[str, ...]:
    program = ("python3", f"{SCRIPTS}/benchmark_serving.py") if script else ("vllm", "bench", "serve")
    rate = "inf" if params.request_rate is None else f"{params.request_rate:g}"
    concurrency = () if params.max_concurrency is None else ("--max-concurrency", str(params.max_concurrency))
    return (
        *program,
        *kind,
        *("--model", model.id, "--host", _HOST, "--port", str(params.port)),
        *(("--trust-remote-code",) if params.trust_remote_code else ()),
        *("--dataset-name", "random", "--random-input-len", str(params.input_len)),
        *("--random-output-len", str(params.output_len), "--ignore-eos", "--request-rate", rate),
        *("--num-prompts", str(params.num_prompts), *concurrency),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--save-result"),
        *("--result-dir", RESULT_FOLDER, "--result-filename", RESULT_NAME),
    )


register(Serve())
