"""What a reference was measured under: the words of its source, completed by what its image and row say."""

import msgspec

from console.model.cell import Conditions
from console.model.profile import Image


def merged(base: Conditions, over: Conditions) -> Conditions:
    """Conditions of which the second wins wherever it states something."""
    stated = {
        name: getattr(over, name)
        for name in over.__struct_fields__
        if name != "simulated" and getattr(over, name) is not None
    }
    return msgspec.structs.replace(base, **stated, simulated=base.simulated or over.simulated)


def completed(under: Conditions, image: Image, nodes: int, gpus_per_node: int) -> Conditions:
    """Conditions with the image and its versions, the nodes and the GPUs of a node where nothing else is stated."""
    known = Conditions(
        gpus=gpus_per_node,
        nodes=nodes,
        image=image.ref,
        image_digest=image.digest,
        engine=image.vllm.engine if image.vllm else None,
        engine_version=image.engine_version,
        rocm=image.rocm,
        pytorch=image.pytorch,
    )
    return merged(known, under)
