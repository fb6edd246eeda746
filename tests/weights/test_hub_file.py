"""A download from the Hugging Face hub, played by a server on this machine."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from detkit.weights.hub_file import HubFile
from detkit.weights.published import local_file

CONTENT = b"weights" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012  # of all instances

    def do_HEAD(self):  # the library's name
        self.answer(b"")

    def do_GET(self):
        Hub.requests.append(self.path)
        facts = {"id": "a/b", "siblings": [], "cardData": {"license": "mit"}}
        self.answer(json.dumps(facts).encode() if "/api/" in self.path else CONTENT)

    def answer(self, body):
        self.send_response(200)
        self.send_header("ETag", f'"{HASH}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body) or len(CONTENT)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    Hub.requests.clear()
    yield server
    server.shutdown()
    server.server_close()


def test_a_file_is_described_and_goes_to_the_hubs_cache(hub, tmp_path, capsys):
    path = HubFile("a/b").fetch("weights=hf://a/b")
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "hub")
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("downloading weights: http://127.0.0.1:")
    assert f"(0 MB, licence mit, SHA-256 {HASH})" in line
    before = len(Hub.requests)
    assert local_file("hf://a/b") == str(HubFile("a/b").fetch("weights=hf://a/b")) == str(path)
    assert len(Hub.requests) == before
