"""instinct fabric check: moves bytes between the hosts of an attempt, both ways over every rail, and says what came.

Runs as `python3 -c` inside the attempt's own image on every host at once, with nothing but the standard library of
Python 3.8. Its one argument is JSON: what this host listens on and connects to. It prints one line of JSON after the
marker for everything it tried. A folder that all hosts should see is tried too, and RDMA devices are opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

MARK = "@@instinct fabric "
CHUNK = 1 << 16
SILENCE_S = 5.0
"""Bytes that do not come for so long do not come at all."""
PERFTEST_S = 20.0
_lock = threading.Lock()


def say(**said: Any) -> None:
    """One line of what was found."""
    with _lock:
        print(MARK + json.dumps(said), flush=True)


class Check:
    """One host's side. `asked` is the argument; `until` the end of patience on the monotonic clock."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.nonce = str(asked["nonce"])
        self.until = time.monotonic() + float(asked["patience_s"])
        self.size = int(asked["bytes"])
        self.tool = shutil.which("ib_write_bw") or ""

    def run(self) -> None:
        """Everything at once; ends when all is done or patience is over."""
        say(tool=bool(self.tool))
        if self.asked["devices"]:
            self.devices()
        todo = [(self.listen, wire) for wire in self.asked["listen"]]
        todo += [(self.connect, wire) for wire in self.asked["connect"]]
        threads = [threading.Thread(target=act, args=(wire,)) for act, wire in todo]
        if self.asked["shared"]:
            threads.append(threading.Thread(target=self.folder, args=(self.asked["shared"],)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        say(done=True)

    def left(self) -> float:
        """Seconds of patience that are left, never none at all: a socket would take that for not waiting."""
        return max(0.05, self.until - time.monotonic())

    # ---------------------------------------------------------------- wires

    def opened(self, wire: dict[str, Any]) -> socket.socket:
        """A socket on the wire's own interface and address. Raises OSError when the host has them not."""
        family = socket.AF_INET6 if ":" in wire["address"] else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(PermissionError):  # kernels before 5.7 ask for CAP_NET_RAW: the address must do
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, wire["interface"].encode())
        return made

    def listen(self, wire: dict[str, Any]) -> None:
        """Wait for the other end, give back what comes, then send as much."""
        try:
            with self.opened(wire) as door:
                door.bind((wire["address"], self.asked["port"]))
                door.listen(8)
                while True:
                    door.settimeout(self.left())
                    link, _ = door.accept()
                    with link:
                        if self.answer(wire, link):
                            return
        except OSError as error:
            say(wire=wire["wire"], side="listen", error=words(error))

    def answer(self, wire: dict[str, Any], link: socket.socket) -> bool:
        """One caller; False for a stranger."""
        try:
            link.settimeout(SILENCE_S)
            hello = line(link)
            if hello.get("nonce") != self.nonce or hello.get("wire") != wire["wire"]:
                return False
            tell(link, {"nonce": self.nonce, "tool": bool(self.tool)})
            came = receive(link, self.size)
            tell(link, {"came": came})
            if came == self.size:
                send(link, self.size)
                if line(link).get("rdma"):
                    self.serve(wire, link)
        except OSError:
            return False  # a caller of ours says itself what came of it, and one who comes again is answered
        return True

    def connect(self, wire: dict[str, Any]) -> None:
        """Call the other end until it answers, send, and read as much back."""
        said: dict[str, Any] = {"wire": wire["wire"], "side": "connect", "there": 0, "back": 0}
        why = "nobody answered"
        while True:
            try:
                with self.opened(wire) as link:
                    link.settimeout(min(SILENCE_S, self.left()))
                    link.bind((wire["address"], 0))
                    link.connect((wire["peer"], self.asked["port"]))
                    said["connected"] = True
                    if self.moved(wire, link, said):
                        return
                    why = "closed before it was done"
            except OSError as error:
                why = words(error)
                if said.get("connected") or error.errno in FINAL:
                    break
            if time.monotonic() >= self.until:
                break
            time.sleep(0.2)
        say(error=why, **said)

    def moved(self, wire: dict[str, Any], link: socket.socket, said: dict[str, Any]) -> bool:
        """Payload there and back; says what came of it."""
        tell(link, {"nonce": self.nonce, "wire": wire["wire"]})
        other = line(link)
        if other.get("nonce") != self.nonce:
            return False
        begun = time.monotonic()
        link.settimeout(SILENCE_S)
        send(link, self.size)
        link.settimeout(2 * SILENCE_S)  # the other end waits for the rest of it, and tells what came
        said["there"] = int(line(link).get("came", 0))
        said["back"] = receive(link, self.size)
        said["seconds"] = time.monotonic() - begun
        both = bool(self.tool and other.get("tool") and wire["device"])
        with contextlib.suppress(OSError):  # what was moved is moved
            tell(link, {"rdma": both})
            if both:
                link.settimeout(PERFTEST_S)
                line(link)
                said.update(self.measured(wire))
        say(**said)
        return True

    # ---------------------------------------------------------------- RDMA

    def perftest(self, wire: dict[str, Any], *more: str) -> subprocess.Popen[str]:
        """ib_write_bw on the wire's device, as a server unless the other's address is given."""
        device, _, port = wire["device"].partition(":")
        argv = [self.tool, "-d", device, "-i", port or "1", "-p", str(self.asked["port"] + 1 + wire["wire"])]
        argv += ["-x", str(self.asked["gid_index"])] if self.asked["gid_index"] is not None else []
        argv += ["-s", "65536", "-n", "1000", "-F", "--report_gbits", *more]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def serve(self, wire: dict[str, Any], link: socket.socket) -> None:
        """The other end's ib_write_bw is answered by one of ours."""
        with self.perftest(wire) as server:
            try:
                time.sleep(0.5)
                tell(link, {"ready": True})
                server.wait(PERFTEST_S)
            except (OSError, subprocess.TimeoutExpired):
                server.kill()

    def measured(self, wire: dict[str, Any]) -> dict[str, Any]:
        """What ib_write_bw printed: its table's last row has the average as its fourth figure."""
        with self.perftest(wire, wire["peer"]) as client:
            try:
                out, _ = client.communicate(timeout=PERFTEST_S)
            except subprocess.TimeoutExpired:
                client.kill()
                return {"rdma_error": "ib_write_bw did not end"}
        rows = [row.split() for row in out.splitlines() if row.strip().startswith("65536")]
        if client.returncode == 0 and rows and len(rows[-1]) > 3:
            return {"rdma_gbps": float(rows[-1][3])}
        last = [row for row in out.splitlines() if row.strip()][-1:]
        return {"rdma_error": (last or [f"ib_write_bw ended with {client.returncode}"])[0].strip()[:200]}

    def devices(self) -> None:
        """Which RDMA devices libibverbs finds and can open in here: their provider must be known to it."""
        try:
            verbs = ctypes.CDLL("libibverbs.so.1")
        except OSError as error:
            say(verbs=[], error=str(error)[:200])
            return
        verbs.ibv_get_device_list.restype = ctypes.POINTER(ctypes.c_void_p)
        verbs.ibv_get_device_name.restype = ctypes.c_char_p
        verbs.ibv_get_device_name.argtypes = [ctypes.c_void_p]
        verbs.ibv_open_device.restype = ctypes.c_void_p
        verbs.ibv_open_device.argtypes = [ctypes.c_void_p]
        verbs.ibv_close_device.argtypes = [ctypes.c_void_p]
        count = ctypes.c_int(0)
        listed = verbs.ibv_get_device_list(ctypes.byref(count))
        names = []
        for place in range(count.value if listed else 0):
            context = verbs.ibv_open_device(listed[place])
            if context:
                names.append((verbs.ibv_get_device_name(listed[place]) or b"").decode("ascii", "replace"))
                verbs.ibv_close_device(context)
        say(verbs=names, error="")

    # ---------------------------------------------------------------- a folder that all see

    def folder(self, shared: str) -> None:
        """Write a file, wait for those of the others, and take everything away again."""
        mine, ranks = int(self.asked["rank"]), int(self.asked["ranks"])
        place = Path(shared, f".instinct-check-{self.nonce}")
        try:
            place.mkdir(parents=True, exist_ok=True)
            say(shared=shared, missing=self.exchange(place, mine, ranks), error="")
        except OSError as error:
            say(shared=shared, missing=[], error=words(error))
        for name in (f"from-{mine}", f"seen-{mine}"):
            with contextlib.suppress(OSError):
                (place / name).unlink()
        with contextlib.suppress(OSError):
            place.rmdir()

    def exchange(self, place: Path, mine: int, ranks: int) -> list[int]:
        """The ranks whose file did not come with what it should hold."""
        (place / f"from-{mine}").write_text(self.nonce)
        missing = set(range(ranks))
        while missing:
            # listing makes a network file system look again; a name that was absent once may stay so in its cache
            there = {file.name for file in place.iterdir()}
            missing -= {rank for rank in missing if self.readable(place / f"from-{rank}", there)}
            if not missing or not self.patient():
                break
        if missing:
            return sorted(missing)
        (place / f"seen-{mine}").write_text(self.nonce)
        # nobody's file goes before everybody has read it: the first that is gone says so too
        every = {f"{kind}-{rank}" for kind in ("from", "seen") for rank in range(ranks)}
        seen = {name for name in every if name.startswith("seen")}
        while self.patient():
            there = {file.name for file in place.iterdir()} if place.is_dir() else set()
            if seen <= there or not (every - seen) <= there:
                break
        return []

    def patient(self) -> bool:
        """A moment's rest; False when patience is over."""
        time.sleep(0.1)
        return time.monotonic() < self.until

    def readable(self, file: Path, there: set[str]) -> bool:
        """Whether a listed file holds what it should."""
        try:
            return file.name in there and file.read_text() == self.nonce
        except OSError:
            return False


FINAL = (19, 99, 22)
"""Errors that waiting does not mend: no such device, no such address here, an interface that is none."""


def words(error: OSError) -> str:
    """An error in few words."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timed out"
    return (error.strerror or str(error) or type(error).__name__)[:200]


def tell(link: socket.socket, said: dict[str, Any]) -> None:
    """One line to the other end."""
    link.sendall(json.dumps(said).encode() + b"\n")


def line(link: socket.socket) -> dict[str, Any]:
    """One line from the other end, byte by byte: what follows it is payload. Nothing when it is none of ours."""
    got = b""
    while not got.endswith(b"\n") and len(got) < 500:
        piece = link.recv(1)
        if not piece:
            break
        got += piece
    try:
        said = json.loads(got)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def send(link: socket.socket, size: int) -> None:
    """So many bytes."""
    block = bytes(CHUNK)
    for at in range(0, size, CHUNK):
        link.sendall(block[: min(CHUNK, size - at)])


def receive(link: socket.socket, size: int) -> int:
    """How many of so many bytes came before the silence grew too long."""
    came = 0
    try:
        while came < size:
            piece = link.recv(min(CHUNK, size - came))
            if not piece:
                break
            came += len(piece)
    except OSError:
        return came
    return came


if __name__ == "__main__":
    Check(json.loads(sys.argv[1])).run()
