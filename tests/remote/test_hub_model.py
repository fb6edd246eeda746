"""Detectors on a hub, played by a server on this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hub_server import HubServer, Repository

from detkit.errors import UserError
from detkit.inference.engines.opening import exported_file
from detkit.remote.addresses import local_source
from detkit.remote.hub_model import BUNDLE_FILES, hub_model
from detkit.weights.published import fetch_weights, local_file

BUNDLE = {name: name.encode() for name in BUNDLE_FILES}


def fetch(address: str) -> Path:
    return Path(local_source(address, "ckpt"))


@pytest.fixture
def cells(hub: type[HubServer]) -> Repository:
    hub.repositories["me/cells"] = Repository(files=dict(BUNDLE), licence="mit")
    return hub.repositories["me/cells"]


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_bundle_is_announced_and_downloaded_once(
    cells: Repository, hub: type[HubServer], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch("hf://me/cells")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == BUNDLE
    assert "me/cells from the Hugging Face hub (0.0 MB, licence mit" in capsys.readouterr().err
    hub.requests.clear()
    assert fetch("hf://me/cells") == folder
    assert hub.requests == ["GET /api/models/me/cells?blobs=true"]
    assert capsys.readouterr().err == ""


# pain 130
def test_a_new_version_is_downloaded_and_an_old_one_stays_available(
    cells: Repository, hub: type[HubServer]
) -> None:
    first, commit = fetch("hf://me/cells"), cells.commit
    cells.files["config.yaml"] = b"new"
    assert (fetch("hf://me/cells") / "config.yaml").read_bytes() == b"new"
    hub.requests.clear()
    assert fetch(f"hf://me/cells@{commit}") == first
    assert hub.requests == []


def test_a_branch_at_a_commit_in_the_cache_is_known_afterwards(cells: Repository) -> None:
    folder = fetch(f"hf://me/cells@{cells.commit}")
    assert hub_model("hf://me/cells", "ckpt").cached() is None
    assert fetch("hf://me/cells") == hub_model("hf://me/cells", "ckpt").cached() == folder


# pain 130
def test_without_a_connection_the_copy_in_the_cache_is_used_and_named(
    cells: Repository, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch("hf://me/cells")
    capsys.readouterr()
    request.getfixturevalue("closed_port")
    assert fetch("hf://me/cells") == folder
    error = capsys.readouterr().err
    assert error.startswith("ckpt=hf://me/cells: the hub could not be reached (")
    assert f"using {folder}" in error


def test_without_a_connection_or_a_copy_it_is_one_line(
    hub: type[HubServer], closed_port: None
) -> None:
    with pytest.raises(UserError, match=r"ckpt=hf://me/cells: .* could not be reached .*path"):
        fetch("hf://me/cells")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://me/none", "there is no repository me/none on the Hugging Face hub that you may"),
        ("hf://me/cells@v9", "has no revision 'v9'"),
        ("hf://me/cells/a.onnx", "holds no a.onnx. Its files: bundle.json, config.yaml"),
        ("hf://me/cells/a.xml", "holds no a.xml and a.bin"),
        ("hf://me/other", "holds no detkit bundle, .* Its files: notes.txt"),
        ("hf://me", "expected hf://OWNER/NAME"),
        ("hf://me/../x", "expected hf://OWNER/NAME"),
    ],
)
def test_a_wrong_address_is_one_line(
    cells: Repository, hub: type[HubServer], address: str, message: str
) -> None:
    hub.repositories["me/other"] = Repository(files={"notes.txt": b""})
    with pytest.raises(UserError, match=rf"ckpt={address}: .*{message}|ckpt={address}: {message}"):
        fetch(address)


def test_a_private_repository_needs_a_token(
    cells: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "of_another_user")
    with pytest.raises(UserError, match="for a private one, log in with `hf auth login`"):
        fetch("hf://me/cells")


def test_an_exported_file_is_opened_by_its_address(cells: Repository) -> None:
    cells.files["demo.onnx"] = b"graph"
    path = exported_file("hf://me/cells/demo.onnx")
    assert path is not None
    assert (path.suffix, path.read_bytes()) == (".onnx", b"graph")
    assert exported_file("hf://me/cells") is None


def test_weights_take_the_bundle_or_the_usual_file(cells: Repository, hub: type[HubServer]) -> None:
    hub.repositories["timm/small"] = Repository(files={"model.safetensors": b"weights"})
    with pytest.raises(UserError, match="is not in the cache"):
        local_file("hf://me/cells")
    for address, name in (("hf://me/cells", "snapshots"), ("hf://timm/small", "model.safetensors")):
        fetch_weights(address)
        assert name in local_file(address)
