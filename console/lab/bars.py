"""Progress bars as tqdm draws them where there is no terminal: ten blocks, a carriage return before each."""

BLOCKS = " ▏▎▍▌▋▊▉█"


def clock(seconds: float) -> str:
    """`MM:SS`, or `H:MM:SS` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _rate(done: float, elapsed: float, unit: str) -> str:
    if not done or not elapsed:
        return f"?{unit}/s"
    rate = done / elapsed
    return f"{rate:5.2f}{unit}/s" if rate >= 1 else f"{1 / rate:5.2f}s/{unit}"


def _left(done: float, total: float, elapsed: float) -> str:
    return clock((total - done) * elapsed / done) if done and elapsed else "?"


def bar(title: str, done: int, total: int, elapsed: float, *, postfix: str = "", unit: str = "it") -> str:
    """One drawing, `\\r` first and no newline."""
    share = done / total if total else 1.0
    full, part = divmod(int(share * 80), 8)
    blocks = "█" * full + (BLOCKS[part] if full < 10 else "") + " " * (9 - full)
    after = f", {postfix}" if postfix else ""
    return (
        f"\r{title}: {share * 100:3.0f}%|{blocks[:10]}| {done}/{total} "
        f"[{clock(elapsed)}<{_left(done, total, elapsed)}, {_rate(done, elapsed, unit)}{after}]"
    )


def shards(done: int, total: int, elapsed: float) -> str:
    """A drawing of vLLM's bar over weight files, which ends in a newline each time."""
    return (
        f"\rLoading safetensors checkpoint shards: {100 * done / total:3.0f}% Completed | {done}/{total} "
        f"[{clock(elapsed)}<{_left(done, total, elapsed)}, {_rate(done, elapsed, 'it')}]\n"
    )
