"""A model comes from a hub onto the host, with a token that nobody else sees, and is measured offline."""

import hashlib
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

TOKEN = "hf_" + "S3cretS3cretS3cret"
COMMIT = "c0ffee" * 6 + "cafe"
PATIENCE_S = 120.0


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of a model hub as its client asks for. Holds the weights back until told to go on."""

    files: ClassVar[dict[str, bytes]] = {}
    tokens: ClassVar[set[str]] = set()
    go_on: ClassVar[threading.Event] = threading.Event()
    asked: ClassVar[threading.Event] = threading.Event()

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        path = urlsplit(self.path).path
        self.tokens.add(self.headers.get("Authorization", ""))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(
                401, b'{"error": "Access to model test/tiny is restricted"}', {"X-Error-Code": "GatedRepo"}, body
            )
        elif path.startswith("/api/models/test/tiny"):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in self.files.items()]
            said = {
                "_id": "1",
                "id": "test/tiny",
                "modelId": "test/tiny",
                "sha": COMMIT,
                "siblings": siblings,
                "tags": [],
            }
            self._send(200, json.dumps({**said, "private": False, "downloads": 0, "likes": 0}).encode(), {}, body)
        else:
            name = path.rpartition("/")[2]
            data = self.files[name]
            if body and name.endswith(".safetensors"):
                self.asked.set()
                self.go_on.wait(PATIENCE_S)
            etag = hashlib.sha256(data).hexdigest()
            self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data)), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub(real_host: Any) -> Iterator[str]:
    """A hub on loopback with the model of the image; its address."""
    made = subprocess.run(
        ["docker", "create", "local/vllm-cpu:0.8.5", "true"], capture_output=True, text=True, check=True
    )
    copy = real_host.folder / "tiny"
    try:
        source = f"{made.stdout.strip()}:/models/tiny-llama"
        subprocess.run(["docker", "cp", source, str(copy)], check=True, capture_output=True)
    finally:
        subprocess.run(["docker", "rm", made.stdout.strip()], check=True, capture_output=True)
    Hub.files = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Hub.go_on.set()
    server.shutdown()
    server.server_close()


def test_a_gated_model_is_fetched_once_checked_and_measured_offline(real_host: Any, hub: str) -> None:
    cache = real_host.folder / "cache"
    cache.mkdir()
    seen_by_the_probe = real_host.folder / "root" / cache.relative_to("/")
    seen_by_the_probe.parent.mkdir(parents=True)
    seen_by_the_probe.symlink_to(cache)
    text = real_host.fleet.read_text().replace('model_cache = "/data/huggingface"', f'model_cache = "{cache}"')
    real_host.fleet.write_text(text)

    refused = real_host.run("run", "real-hub", "--json")
    assert refused.returncode == 1, refused.stderr
    (row,) = json.loads(refused.stdout)["rows"]
    assert (row["state"], row["failure"]) == ("not run", "model_incomplete")
    assert "instinct fetch real-hub" in row["remedy"]

    without = real_host.run("fetch", "real-hub", env={"HF_ENDPOINT": hub})
    assert without.returncode == 1
    assert "give a Hugging Face token" in without.stdout + without.stderr

    process = real_host.start("fetch", "real-hub", env={"HF_ENDPOINT": hub, "HF_TOKEN": TOKEN})
    assert Hub.asked.wait(PATIENCE_S), process.communicate()[1]
    _nobody_sees_the_token(cache)
    Hub.go_on.set()
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stdout + stderr
    assert TOKEN not in stdout + stderr
    assert (cache / "hub" / "models--test--tiny" / "refs" / "main").read_text() == COMMIT

    again = real_host.run("fetch", "real-hub", env={"HF_ENDPOINT": hub, "HF_TOKEN": TOKEN})
    assert again.returncode == 0
    assert re.search(r"model\s+test/tiny\s+present", again.stdout), again.stdout

    measured = real_host.run("run", "real-hub", "--json")
    assert measured.returncode == 0, measured.stderr
    (row,) = json.loads(measured.stdout)["rows"]
    assert (row["state"], row["metric"]) == ("ok", "latency_s")
    assert row["value"] > 0
    for path in real_host.store.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def _nobody_sees_the_token(cache: Path) -> None:
    """Not in inspect, not in any process's arguments or first environment, not in the log, not on disk."""
    listed = subprocess.run(
        ["docker", "ps", "-q", "--filter", "label=instinct=fetch"], capture_output=True, text=True, check=True
    )
    (container,) = listed.stdout.split()
    for words in (["inspect", container], ["logs", container], ["top", container, "-eo", "pid,args"]):
        said = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
        assert TOKEN not in said.stdout + said.stderr, words[0]
    everybody = subprocess.run(["ps", "axeww", "-o", "command"], capture_output=True, text=True, check=True).stdout
    others = [line for line in everybody.splitlines() if "-m console" not in line and "ps axeww" not in line]
    assert not [line for line in others if TOKEN in line]
    upper = subprocess.run(
        ["docker", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", container],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for folder in (Path(upper), cache):
        for path in folder.rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
