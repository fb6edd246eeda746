"""The endpoints of the Hugging Face hub that detkit uses, on this machine and in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from huggingface_hub import constants

TOKEN = "hf_test"


@dataclass
class Repository:
    """A model repository with one commit at a time."""

    private: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    licence: str | None = None

    @property
    def commit(self) -> str:
        content = repr(sorted(self.files.items())).encode()
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()

    def facts(self, name: str) -> dict[str, Any]:
        siblings = [{"rfilename": f, "size": len(c)} for f, c in sorted(self.files.items())]
        card = {"license": self.licence} if self.licence else {}
        facts = {"id": name, "modelId": name, "sha": self.commit, "private": self.private}
        return {**facts, "siblings": siblings, "cardData": card, "tags": [], "downloads": 0}


class HubServer(BaseHTTPRequestHandler):
    repositories: ClassVar[dict[str, Repository]] = {}
    requests: ClassVar[list[str]] = []
    refused: ClassVar[list[str]] = []  # paths of requests that this user may not make

    def do_HEAD(self) -> None:
        self.resolve(with_body=False)

    def do_GET(self) -> None:
        self.requests.append(f"GET {self.path}")
        if self.path.startswith("/api/whoami"):
            self.reply({"name": "me", "orgs": [], "type": "user"})
        elif match := re.match(r"/api/models/([^/]+/[^/?]+)(?:/revision/([^?]+))?", self.path):
            name, revision = match[1], match[2] or "main"
            if (repository := self.allowed(name, revision)) is not None:
                self.reply(repository.facts(name))
        else:
            self.resolve(with_body=True)

    def do_POST(self) -> None:
        self.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path in self.refused:
            self.reply({"error": "You have no rights to write here"}, 403)
        elif self.path == "/api/repos/create":
            self.create(json.loads(body))
        elif self.path == "/api/validate-yaml":  # the front matter of the model card
            self.reply({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            regular = {"uploadMode": "regular", "shouldIgnore": False}
            self.reply({"files": [{"path": path, **regular} for path in names]})
        else:
            self.commit([json.loads(line) for line in body.splitlines()])

    def create(self, request: dict[str, Any]) -> None:
        name = f"{request.get('organization') or 'me'}/{request['name']}"
        private = request.get("private", request.get("visibility") == "private")
        self.repositories.setdefault(name, Repository(private))
        self.reply({"url": f"{self.address}/{name}", "id": name})

    def commit(self, lines: list[dict[str, Any]]) -> None:
        name = "/".join(self.path.split("/")[3:5])
        repository = self.repositories[name]
        for file in (line["value"] for line in lines if line["key"] == "file"):
            repository.files[file["path"]] = base64.b64decode(file["content"])
        address = f"{self.address}/{name}/commit/{repository.commit}"
        self.reply({"commitUrl": address, "commitOid": repository.commit})

    @property
    def address(self) -> str:
        return f"http://{self.headers['Host']}"

    def allowed(self, name: str, revision: str) -> Repository | None:
        """The repository, unless it is absent, private to others, or has no such revision."""
        repository = self.repositories.get(name)
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repository is None or (repository.private and not is_known):
            self.reply({"error": "Repository not found"}, 404, "RepoNotFound")
        elif revision not in ("main", repository.commit):
            self.reply({"error": f"Invalid rev id: {revision}"}, 404, "RevisionNotFound")
        else:
            return repository
        return None

    def resolve(self, *, with_body: bool) -> None:
        match = re.match(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if match is None:
            self.reply({"error": "Not Found"}, 404)
        elif (repository := self.allowed(match[1], match[2])) is not None:
            self.send_file(repository, repository.files[match[3]], with_body=with_body)

    def send_file(self, repository: Repository, content: bytes, *, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def reply(self, content: Any, code: int = 200, error: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[HubServer]]:
    """An empty hub, a user who is logged in, and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubServer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    HubServer.repositories.clear()
    HubServer.requests.clear()
    HubServer.refused.clear()
    yield HubServer
    server.shutdown()
    server.server_close()
