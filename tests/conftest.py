"""What every test may use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test is timed
settings.load_profile("steady")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of facts, references and captured output beside the project; the test is skipped without it."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared folder beside the project ({SHARED.name}/)")
    return SHARED


@pytest.fixture
def require_real() -> Callable[[bool, str], None]:
    """Skip when a part of the real world is absent; with REQUIRE_REAL=1 its absence is a failure."""

    def require(present: bool, what: str) -> None:
        if present:
            return
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(f"{what} is required here and absent")
        pytest.skip(f"{what} is absent")

    return require
