"""The conditions and the reference of one published row."""

import pytest

from console.model.cell import Conditions, Reference

IMAGE = "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"
DIGEST = "sha256:38410c51af7208897cd8b737c9bdfc126e9bc8952d4aa6b88c85482f03092a11"


@pytest.fixture
def measured() -> Conditions:
    return Conditions(
        gpu="MI300X",
        gpus=8,
        nodes=1,
        compute_partition="SPX",
        memory_partition="NPS1",
        image=IMAGE,
        engine="V0",
        engine_version="0.8.6.dev315+g91a560098.rocm631",
        rocm="6.3.1",
        pytorch="2.7.0",
        driver="6.10.5",
        host_rocm="6.3.3",
        cpu="AMD EPYC 9654 96-Core Processor",
        nodes_per_socket=2,
        bios_version="3.2",
        os="Ubuntu 22.04.5 LTS",
        kernel="5.15.0-130-generic",
        power_cap_w=750.0,
    )


@pytest.fixture
def published() -> Reference:
    return Reference(
        value=1000.0,
        printed="1000.0",
        metric="output_tokens_per_s",
        unit_printed="tokens/s",
        set="published",
        source="AMD performance results page",
        dated="2025-05-27",
        under=Conditions(
            gpu="AMD Instinct MI300X",
            gpus=8,
            nodes=1,
            compute_partition="SPX",
            image=IMAGE,
            engine_version="0.8.5",
            cpu="2x EPYC 9554",
            nodes_per_socket=1,
            bios_version="1.8",
            os="Ubuntu® 22.04.5 LTS",
            driver="6.8.5",
        ),
    )
