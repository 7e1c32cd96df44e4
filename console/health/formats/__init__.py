"""A health report as other programs read it: one module per format, each a function of a report."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from console.health.formats import junit, nagios, plain, prometheus
from console.health.report import Report

RENDERERS: Mapping[str, Callable[[Report], str]] = {
    "json": plain.render,
    "junit": junit.render,
    "prometheus": prometheus.render,
    "nagios": nagios.render,
}


def replace(path: Path, text: str) -> None:
    """Write a file in one step, readable by everyone, so that a collector never reads half of it. Raises OSError."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as copy:
        fresh = Path(copy.name)
        try:
            copy.write(text)
            copy.flush()
            os.fsync(copy.fileno())
            fresh.chmod(0o644)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
