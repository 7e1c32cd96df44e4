"""FluxBenchmark's `launcher.py`: FLUX.1-dev training on one node, images/s."""

import msgspec


class FluxParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `flux`. `batch_size` is images per GPU, `iterations` the steps of one configuration."""

    batch_size: int
    iterations: int = 100
