"""The statistics of repeats and of a table of ratios: median, spread, confidence interval, summary."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

# Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom
# (NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.2, column 0.975).
_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
MIN_REPEATS_FOR_INTERVAL = 3
CONFIGURATION_SD = 0.02
"""Spread of a table's log ratios above which a difference of set-up is likelier than noise (facts: re-measurements of
the same eight rows on the same engine spread by 0.6 to 1.8 %, a change of engine by 8 to 10 %)."""


class Interval(msgspec.Struct, frozen=True):
    """A 95 % confidence interval."""

    low: float
    high: float

    def contains(self, value: float) -> bool:
        """True when the value lies strictly inside."""
        return self.low < value < self.high


def t_975(degrees: int) -> float:
    """The 97.5 % point of Student's t. Beyond the table: the expansion of Abramowitz & Stegun 26.7.5."""
    if degrees < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z = statistics.NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def log_interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the geometric mean, by t on the logarithms; None below three values or for values <= 0."""
    if len(values) < MIN_REPEATS_FOR_INTERVAL or min(values) <= 0:
        return None
    logs = [math.log(value) for value in values]
    middle = statistics.fmean(logs)
    half = t_975(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Interval(math.exp(middle - half), math.exp(middle + half))


def variation(values: Sequence[float]) -> float | None:
    """Coefficient of variation (sample standard deviation over mean); None below two values or at mean zero."""
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    return statistics.stdev(values) / mean if mean else None


class RowRatio(msgspec.Struct, frozen=True):
    """One row of a table: its cell, its verdict as text, and its ratio where it was comparable and valid."""

    cell: str
    verdict: str
    ratio: float | None


class TableSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A table in one line. Ratios are oriented: above 1 is better. `compared` of `rows` rows carry a ratio."""

    rows: int
    compared: int
    geomean: float | None
    worst_cell: str | None
    worst_ratio: float | None
    log_sd: float | None
    by_verdict: Mapping[str, int]

    @property
    def coverage(self) -> float:
        """Share of the table's rows that carry a ratio: three rows must not look like forty."""
        return self.compared / self.rows if self.rows else 0.0

    @property
    def hint(self) -> str:
        """What the spread of the ratios says, or nothing."""
        if self.compared >= MIN_REPEATS_FOR_INTERVAL and self.log_sd is not None and self.log_sd > CONFIGURATION_SD:
            return "the ratios spread more than repeated runs do: look for a difference in engine, flags or set-up"
        return ""


def summarise(rows: Sequence[RowRatio], table_rows: int) -> TableSummary:
    """Geometric mean, worst row, spread and coverage of one table of `table_rows` rows."""
    ratios = {row.cell: row.ratio for row in rows if row.ratio is not None and row.ratio > 0}
    logs = [math.log(ratio) for ratio in ratios.values()]
    worst = min(ratios, key=lambda cell: (ratios[cell], cell), default=None)
    return TableSummary(
        rows=max(table_rows, len({row.cell for row in rows})),
        compared=len(ratios),
        geomean=math.exp(statistics.fmean(logs)) if logs else None,
        worst_cell=worst,
        worst_ratio=ratios[worst] if worst is not None else None,
        log_sd=statistics.stdev(logs) if len(logs) > 1 else None,
        by_verdict=dict(Counter(row.verdict for row in rows)),
    )
