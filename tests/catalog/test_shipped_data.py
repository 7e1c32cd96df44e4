"""What the shipped profiles say, held against what they must be."""

from collections import Counter

import pytest

from console.catalog.rows import RowHead
from console.catalog.shelf import Catalog
from console.model.units import METRICS
from console.workloads.base import registry

GIB = 2**30


def test_the_reference_servers_are_as_the_page_says(shipped: Catalog) -> None:
    said = {
        name: (server.gpu, server.cpu.split()[2], server.nodes_per_socket, server.bios_version)
        for name, server in shipped.servers.items()
        if name != "mi355x"
    }
    assert said == {
        "mi300x-2x9554": ("MI300X", "9554", 1, "1.8"),
        "mi300x-2x9654": ("MI300X", "9654", 2, "5.27"),
        "mi325x-2x9654": ("MI325X", "9654", 2, "5.27"),
    }
    assert all(server.gpus == 8 and server.sockets == 2 for server in shipped.servers.values())


def test_bios_driver_and_processor_are_never_required(shipped: Catalog) -> None:
    only_published = ("bios_version", "amdgpu_version", "rocm_version", "cpu", "nodes_per_socket", "os")
    for server in shipped.servers.values():
        for item in server.expect:
            if item.fact.split(".")[-1] in only_published:
                assert item.level == "published", (server.name, item.fact)
            assert item.source, (server.name, item.fact)
            assert item.accept or item.low is not None or item.high is not None


def test_ranges_hold_the_gpu_specification(shipped: Catalog) -> None:
    for server in shipped.servers.values():
        gpu = shipped.gpu(server.gpu)
        expected = {item.fact: item for item in server.expect}
        vram, power = expected["gpu.vram_total_bytes"], expected["gpu.power_cap_w"]
        for item, value in ((vram, gpu.vram_bytes), (power, gpu.power_w)):
            assert item.low is not None
            assert item.high is not None
            assert item.low < value < item.high


@pytest.mark.parametrize(
    ("name", "vram", "units", "fp8", "watts"),
    [("MI300X", 192, 304, 2614.9, 750), ("MI325X", 256, 304, 2614.9, 1000), ("MI355X", 288, 256, 5033.0, 1400)],
)
def test_gpu_specifications(shipped: Catalog, name: str, vram: int, units: int, fp8: float, watts: int) -> None:
    gpu = shipped.gpu(name)
    assert (gpu.vram_bytes, gpu.compute_units, gpu.peak_tflops.fp8, gpu.power_w) == (vram * GIB, units, fp8, watts)


def test_no_published_training_figure_exceeds_the_peak_of_its_gpu(shipped: Catalog) -> None:
    for matrix in shipped.matrices.values():
        for cell in matrix.cells:
            reference = cell.references[0]
            if reference.metric == "tflops_per_s_per_gpu":
                peak = getattr(shipped.gpu(str(reference.under.gpu)).peak_tflops, cell.precision.lower())
                assert reference.value < peak, cell.id


def test_every_cell_fits_its_model_image_and_server(shipped: Catalog) -> None:
    for matrix in shipped.matrices.values():
        server = shipped.server(matrix.server)
        for cell in matrix.cells:
            model = shipped.model(cell.model)
            assert cell.metric in METRICS
            assert cell.gpus_per_node == server.gpus
            assert cell.references[0].under.gpu == server.gpu
            assert not model.tensor_parallel or cell.params.tensor_parallel in model.tensor_parallel
            if hasattr(cell.params, "fp8"):
                assert cell.params.fp8 == (cell.precision == "FP8")


def test_a_cell_is_named_by_what_it_runs(shipped: Catalog) -> None:
    for matrix in shipped.matrices.values():
        runs = Counter((cell.model, cell.precision, cell.nodes, str(cell.params)) for cell in matrix.cells)
        assert set(runs.values()) == {1}


def test_images_of_the_published_tables_are_pinned_as_far_as_known(shipped: Catalog) -> None:
    full = [image.name for image in shipped.images.values() if image.digest and len(image.digest) == 71]
    assert full == ["pytorch-training-v25.5", "rocm6.3.1_vllm_0.8.5_20250521"]
    vllm = [image for image in shipped.images.values() if image.program == "vllm"]
    assert {image.name for image in vllm if not image.digest} == {
        "rocm6.3.1_instinct_vllm0.7.3_20250311",
        "rocm7.14.0_cdna_ubuntu24.04_py3.14_pytorch_2.11.0_vllm_0.23.0",
    }


def test_each_generation_of_vllm_is_called_its_own_way(shipped: Catalog) -> None:
    def traits(name: str) -> tuple[object, ...]:
        vllm = shipped.image(name).vllm
        assert vllm is not None
        return vllm.engine, vllm.entry, vllm.chunked_prefill_off, vllm.scheduler_steps, vllm.quantization_flag

    assert traits("rocm6.3.1_instinct_vllm0.8.3_20250415") == (
        "V0",
        "script",
        ("--enable-chunked-prefill", "False"),
        True,
        True,
    )
    assert traits("rocm6.3.1_vllm_0.8.5_20250521") == ("V0", "script", ("--no-enable-chunked-prefill",), True, True)
    assert traits("rocm6.4.1_vllm_0.9.1_20250715") == ("V1", "script", (), False, False)
    assert traits("rocm6.4.1_vllm_0.10.1_20250909") == ("V1", "bench", (), False, False)
    newest = shipped.image("rocm7.14.0_cdna_ubuntu24.04_py3.14_pytorch_2.11.0_vllm_0.23.0").vllm
    assert newest is not None
    assert not {"--swap-space", "--disable-log-requests"} & set(newest.serve_server)


def test_every_container_option_names_its_source(shipped: Catalog) -> None:
    assert all(image.container.source for image in shipped.images.values())


def test_no_parameter_is_called_like_a_key_of_its_row() -> None:
    for workload in registry().values():
        assert not set(workload.params.__struct_fields__) & {*RowHead.__struct_fields__, "rows"}, workload.name
