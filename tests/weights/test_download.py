"""Downloads of published weights, from a server on this machine."""

import hashlib

import pytest
import torch
from file_server import FileServer

from detkit.errors import UserError
from detkit.files import Lock, lock
from detkit.weights import download
from detkit.weights.download import WebFile

CONTENT = bytes(range(256)) * 100
HASH = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture
def server():
    server = FileServer(CONTENT)
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def file_at(server, hash_=HASH):
    return WebFile(f"{server.address}/net-{hash_}.pth", "BSD-3-Clause", 12.3)


def test_a_file_goes_to_the_cache_and_is_described_before(server, cache, capsys):
    file = file_at(server)
    assert file.fetch("weights=coco").read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == [f"net-{HASH}.pth"]
    assert capsys.readouterr().err == (
        f"downloading weights: {file.url} (12 MB, licence BSD-3-Clause, SHA-256 {HASH}...) to "
        f"{cache}/net-{HASH}.pth\n"
    )


def test_a_file_in_the_cache_is_not_downloaded(server, cache):
    cache.mkdir(parents=True)
    (cache / f"net-{HASH}.pth").write_bytes(b"there")
    assert file_at(server).fetch("weights=coco").read_bytes() == b"there"
    assert server.requested == []


def test_an_interrupted_download_resumes(server, cache):  # pain 76
    server.cut = 10_000
    with pytest.raises(UserError, match=r"could not be downloaded"):
        file_at(server).fetch("weights=coco")
    assert (cache / f"net-{HASH}.pth.part").stat().st_size == 10_000
    assert file_at(server).fetch("weights=coco").read_bytes() == CONTENT
    assert server.requested == [None, "bytes=10000-"]


def test_a_server_without_ranges_sends_the_whole_file_again(server, cache):
    server.ranges = False
    cache.mkdir(parents=True)
    (cache / f"net-{HASH}.pth.part").write_bytes(CONTENT[:999])
    assert file_at(server).fetch("weights=coco").read_bytes() == CONTENT


def test_a_damaged_file_is_refused_and_removed(server, cache):  # pain 76
    with pytest.raises(UserError, match=rf"SHA-256 starts with {HASH}, expected 00000000"):
        file_at(server, "00000000").fetch("weights=coco")
    assert list(cache.iterdir()) == []


# pain 76
def test_a_process_that_waits_writes_nothing_while_another_checks(server, cache, monkeypatch):
    def try_to_lock(self, part):
        with part.open("ab") as file:
            attempts.append(lock(file))

    attempts = []
    monkeypatch.setattr(WebFile, "_check", try_to_lock)
    file_at(server).fetch("weights=coco")
    assert attempts == [Lock.IN_USE]


# pain 76
def test_what_another_process_wrote_meanwhile_is_overwritten(server, cache, monkeypatch):
    cache.mkdir(parents=True)
    part = cache / f"net-{HASH}.pth.part"
    part.write_bytes(CONTENT[:999])
    monkeypatch.setattr(download, "lock", lambda file, wait: part.write_bytes(CONTENT[:5000]))
    assert file_at(server).fetch("weights=coco").read_bytes() == CONTENT


def test_without_a_network_one_line_says_which_file_to_put_where(server, cache):
    file = file_at(server)
    server.close()
    with pytest.raises(UserError) as raised:
        file.fetch("weights=coco")
    message = str(raised.value)
    assert message.startswith(f"weights=coco: {file.url} could not be downloaded (")
    assert f"download net-{HASH}.pth elsewhere and put it into {cache}, or give" in message
    assert "\n" not in message
    assert not cache.exists()


def test_a_proxy_of_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    file = WebFile(f"http://weights.invalid/net-{HASH}.pth", "BSD-3-Clause")
    assert file.fetch("weights=coco").read_bytes() == CONTENT
