"""`train_fsdp.py` of AMD's pytorch-training-benchmark: Llama and Mistral pre-training on one node."""

from typing import Literal

import msgspec


class TrainFsdpParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `train-fsdp`. `batch_size` is per GPU; `config` is the model's JSON file, which fixes the length."""

    architecture: Literal["llama", "mistral"]
    config: str
    batch_size: int
    sequence_length: int
    fp8: bool = False
    steps: int = 128
