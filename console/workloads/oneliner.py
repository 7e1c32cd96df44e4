"""Errors of `python3 -c` in a shell script that the script itself takes no notice of.

Megatron-LM's examples ask `rdma link -j` for the names of eight links: on a host with fewer the one-liner ends with an
IndexError, without the `rdma` tool with a JSONDecodeError. Training goes on; neither is a failure.
"""

from console.workloads.lines import Line

_HARMLESS = ("IndexError: list index out of range", "json.decoder.JSONDecodeError: ", "JSONDecodeError: ")
_FRAME = '  File "<string>", line 1'


class OneLinerErrors:
    """Follows tracebacks per stream; swallows those whose first frame is a `-c` program and which end harmlessly."""

    def __init__(self) -> None:
        self._state: dict[int, str] = {}

    def swallow(self, line: Line) -> bool:
        """True when the line belongs to such a traceback and says nothing else."""
        state, text = self._state.get(line.stream, ""), line.text
        if text.startswith("Traceback (most recent call last):"):
            self._state[line.stream] = "opened"
        elif state == "opened":
            self._state[line.stream] = "one-liner" if text.startswith(_FRAME) else ""
        elif state == "one-liner" and not text.startswith(" "):
            self._state[line.stream] = ""
            return text.startswith(_HARMLESS)
        return False
