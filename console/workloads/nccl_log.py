"""What RCCL says of its network with NCCL_DEBUG=INFO: the interface of its bootstrap and the transport it chose.

A run over several nodes that fell back to TCP sockets ends well and slow: nothing but these lines shows it.
"""

import re

from console.model.attempt import FailureClass, Reason, Symptom, Validity
from console.model.text import safe_line
from console.workloads.lines import Line

_BOOTSTRAP = re.compile(r"Bootstrap ?: ?Using \[?\d?\]?\s?(\S{1,40}?):(\S{1,60})")
_NETWORK = re.compile(r"Using network (\S{1,40})")
_VIA = re.compile(r"via NET/(Socket|IB)\b(/\d{1,3})?(/GDRDMA)?")
_NODES = re.compile(r"nNodes (\d{1,6})\b")
_LOOPBACK = "lo"
INTERFACE_REMEDY = (
    "name the interface that reaches the other hosts: --set interface=NAME, or the beginnings of several with commas; "
    "`instinct plan` shows which one the facts of each host lead to"
)


class NcclLog:
    """Reads `NCCL INFO` lines. `nodes` is the number of nodes when the cell says it."""

    def __init__(self, nodes: int | None) -> None:
        self.nodes = nodes
        self.network: str | None = None
        self.sockets: str = ""
        self.loopback: str = ""
        self.without_gdr: str = ""

    def read(self, line: Line) -> Symptom | None:
        """Take in a line; a symptom when the bootstrap goes over the loopback of one of several nodes."""
        text = line.text
        if "NCCL INFO" not in text:
            return None
        if "nNodes " in text and self.nodes is None and (nodes := _NODES.search(text)) is not None:
            self.nodes = int(nodes[1])
        if "via NET/" in text and (via := _VIA.search(text)) is not None:
            if via[1] == "Socket":
                self.sockets = self.sockets or safe_line(text)
            elif via[3] is None:
                self.without_gdr = self.without_gdr or safe_line(text)
            self.network = self.network or via[1]
        elif "Using network " in text and (network := _NETWORK.search(text)) is not None:
            self.network = network[1]
            if network[1] == "Socket" and (self.nodes or 1) > 1:
                self.sockets = self.sockets or safe_line(text)
        elif "Bootstrap" in text and not self.loopback and (bootstrap := _BOOTSTRAP.search(text)) is not None:
            return self._bootstrap(line, bootstrap[1])
        return None

    def _bootstrap(self, line: Line, interface: str) -> Symptom | None:
        if interface != _LOOPBACK or (self.nodes or 1) < 2:
            return None
        self.loopback = safe_line(line.text)
        return Symptom(
            at_ns=line.at_ns,
            signature="N-lo",
            failure=FailureClass.WRONG_INTERFACE,
            line=self.loopback,
            remedy=INTERFACE_REMEDY,
            warning=True,
        )

    def reasons(self) -> list[Reason]:
        """Data between nodes went over TCP sockets: the figure does not count. RDMA past the GPUs is a note."""
        if self.sockets:
            return [Reason(Validity.SOCKET_FALLBACK, f"RCCL moved data between nodes over TCP sockets: {self.sockets}")]
        if self.without_gdr:
            return [Reason(Validity.NO_GPU_DIRECT, f"RCCL used RDMA without GPUDirect: {self.without_gdr}")]
        return []

    def silence(self) -> list[Reason]:
        """A note on a run over several nodes in whose log RCCL never said which network it took."""
        if self.network is not None or (self.nodes or 1) < 2:
            return []
        return [Reason(Validity.NETWORK_UNKNOWN, "RCCL did not say which network it used: no 'Using network' line")]
