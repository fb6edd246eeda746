"""`detkit bundle RUN hub=...` to a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hub_server import HubServer, Repository

import detkit
from detkit.api.training_config import training_config
from detkit.cli.main import main
from detkit.errors import UserError
from detkit.remote.hub_model import BUNDLE_FILES
from detkit.remote.hub_upload import repository_to_upload
from detkit.weights.source import read_source


@pytest.mark.slow
def test_uploaded_bundle_detects_as_its_run(
    hub: type[HubServer], work: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "first", "hub=me/shapes", "licence=mit"]) == 0
    repository = hub.repositories["me/shapes"]
    assert repository.private
    printed = capsys.readouterr().out
    assert "uploading to a new private repository me/shapes:" in printed
    assert all(name in printed for name in repository.files)
    image = photos / "a.png"
    (result,) = detkit.load("hf://me/shapes").predict(image, threshold=0)
    (expected,) = detkit.load("first").predict(image, threshold=0)
    assert result.boxes.tolist() == expected.boxes.tolist() != []


def test_the_upload_is_private_and_names_no_folder_of_the_users_machine(
    hub: type[HubServer], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "first", "hub=me/shapes"]) == 0
    assert hub.repositories["me/shapes"].private
    files = hub.repositories["me/shapes"].files
    assert set(files) == {*BUNDLE_FILES, "README.md"}
    config = yaml.safe_load(files["config.yaml"])
    assert config["data"]["path"] in (None, "shapes")
    assert str(work).encode() not in b"".join(files.values())
    assert "licence: not stated; licence=NAME states one" in capsys.readouterr().out


def test_a_public_repository_is_refused_unless_named_public(
    hub: type[HubServer], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories["me/public"] = Repository(private=False)
    assert main(["bundle", "first", "hub=me/public"]) == 2
    assert "exists and is public: to upload to it, add private=false" in capsys.readouterr().err
    assert hub.repositories["me/public"].files == {}
    assert not any(request.startswith("POST") for request in hub.requests)


def test_a_new_repository_is_public_only_on_request(hub: type[HubServer], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for name, private in (("me/public", False), ("me/private", True), ("me/default", None)):
        address = repository_to_upload(name, private).upload(tmp_path, "message")
        assert address.endswith(f"/{name}")
        assert hub.repositories[name].private == (private is not False)
        assert hub.repositories[name].files == {"a.txt": b"a"}


def test_a_refused_upload_is_one_line(hub: type[HubServer], tmp_path: Path) -> None:
    hub.repositories["me/x"] = Repository(private=True)
    (tmp_path / "a.txt").write_text("a")
    hub.refused.append("/api/models/me/x/commit/main")
    with pytest.raises(
        UserError, match=r"hub=me/x: the upload failed \(.*403.*your token may write"
    ):
        repository_to_upload("me/x", None).upload(tmp_path, "message")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["private=true"], "private=true: is for uploads: add hub=OWNER/NAME"),
        (["hub=me/x", "private=no"], "private=no: expected true or false"),
        (["hub=name"], "hub=name: expected hub=OWNER/NAME"),
        (["hub=me/x", "license=mit"], "Did you mean 'licence'?"),
    ],
)
def test_wrong_words_are_one_line(
    hub: type[HubServer],
    work: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bundle", "first", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_upload_needs_a_token(
    hub: type[HubServer],
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(work / "no_token"))
    assert main(["bundle", "first", "hub=me/x"]) == 2
    assert "run `hf auth login`, or set HF_TOKEN" in capsys.readouterr().err


@pytest.mark.slow
def test_training_starts_from_an_uploaded_bundle(hub: type[HubServer], work: Path) -> None:
    assert main(["bundle", "first", "hub=me/shapes"]) == 0
    training = training_config(["weights=hf://me/shapes", "data=shapes"])
    assert training.config["model"] == detkit.Run("first").config["model"]
    assert any("model: the one of hf://me/shapes" in note for note in training.notes)
    assert read_source("hf://me/shapes").checkpoint is not None
