"""Numbers as programs print them: thousands separators, exponents, `nan` and nothing at all."""

import math
import re

NUMBER = r"[-+]?(?:\d[\d,]{0,19}(?:\.\d{0,20})?(?:[eE][-+]?\d{1,3})?|nan|NaN|inf|Inf|Infinity)"
"""A printed number for a pattern; without groups."""

_NUMBER = re.compile(NUMBER)


def number(text: str | None) -> float | None:
    """The finite number a text is; None for nothing, `nan`, `inf` and anything else."""
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        return None
    value = float(text.strip().replace(",", ""))
    return value if math.isfinite(value) else None


def is_nan(text: str | None) -> bool:
    """True for a printed not-a-number or infinity: a value that went wrong, other than one that is missing."""
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        return False
    return not math.isfinite(float(text.strip().replace(",", "")))
