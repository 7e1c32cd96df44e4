"""What a cell is expected to reach: its references speak of time as well as of speed."""

from console.model.cell import AnyCell


def reference_value(cell: AnyCell) -> float | None:
    """The first reference of the cell's own metric: what a run is expected to take is computed from it."""
    for reference in cell.references:
        if reference.metric == cell.metric and reference.value > 0:
            return reference.value
    return None


def tokens_measure_s(cell: AnyCell, prompts: int, output_len: int) -> float | None:
    """Seconds to generate all output tokens at the reference rate."""
    rate = reference_value(cell)
    return prompts * output_len / rate if rate else None
