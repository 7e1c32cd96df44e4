"""Names and places that the workloads share with those who start their containers."""

from collections.abc import Mapping

from console.model.profile import ModelCard

PART = "main"
"""The one part of a program that runs alone."""

MODEL_CACHE_PATH = "/models-cache"
"""The host's Hugging Face home, mounted read-only."""

SHARED_PATH = "/instinct-shared"
"""A folder that all hosts of a launch see, mounted writable: the seat's `shared`."""

RESULT_FOLDER = "/tmp"  # noqa: S108 - inside the container, which nobody else uses
RESULT_NAME = "instinct-result.json"
RESULT_FILE = f"{RESULT_FOLDER}/{RESULT_NAME}"
"""The result file of every program that writes one; collected before the container is removed."""


def offline_env(model: ModelCard) -> Mapping[str, str]:
    """Environment of a measured run: nothing is downloaded, output is not held back.

    Only the hub cache points at the read-only mount. HF_HOME stays in the container's own home, because code of
    `--trust-remote-code` models is copied there.
    """
    env = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    if not model.inside_image:
        env["HF_HUB_CACHE"] = f"{MODEL_CACHE_PATH}/hub"
    return env
