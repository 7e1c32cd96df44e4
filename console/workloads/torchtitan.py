"""torchtitan's `run_llama_train.sh`: Llama 3.1 70B with FSDP2 on one node."""

import msgspec


class TorchtitanParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `torchtitan`. `batch_size` is per GPU, `sequence_length` tokens."""

    batch_size: int
    sequence_length: int
    steps: int = 50
