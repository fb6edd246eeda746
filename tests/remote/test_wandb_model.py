"""Model artifacts of W&B; `wandb.Api` is replaced, the artifacts are W&B's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from wandb.errors import AuthenticationError, CommError, UsageError

import detkit
from detkit.errors import UserError
from detkit.remote.addresses import local_source
from detkit.remote.wandb_model import wandb_model
from detkit.training.wandb_content import best_model
from detkit.weights.source import read_source

ADDRESS = "wandb://me/cells/model-1f:best"


class Artifact(SimpleNamespace):
    """An artifact on the server, with the attributes that W&B documents."""

    def download(self, root: str) -> str:
        self.downloads.append(root)
        for name, content in self.files.items():
            (Path(root) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / name).write_bytes(content)
        return root


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """The artifact that every name finds."""
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    files = {"best.ckpt": b"weights"}
    found = Artifact(type="model", version="v3", digest="0" * 32, size=7, files=files, downloads=[])
    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(artifact=lambda name: found))
    return found


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(wandb, "Api", refuse)


def test_the_only_file_of_an_artifact_is_downloaded_once(
    artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(local_source(ADDRESS, "ckpt"))
    assert (path.name, path.read_bytes()) == ("best.ckpt", b"weights")
    assert "downloading the model me/cells/model-1f:v3 from Weights" in capsys.readouterr().err
    assert Path(local_source(ADDRESS, "ckpt")) == path
    assert len(artifact.downloads) == 1


# pain 130
def test_an_alias_that_moved_gets_the_new_version(artifact: Artifact) -> None:
    first = local_source(ADDRESS, "ckpt")
    artifact.version, artifact.digest = "v4", "1" * 32
    assert local_source(ADDRESS, "ckpt") != first
    assert str(wandb_model(ADDRESS, "ckpt").cached()) == local_source(ADDRESS, "ckpt")


def test_an_artifact_with_several_files_is_a_folder(artifact: Artifact) -> None:
    artifact.files = {"bundle.json": b"{}", "config.yaml": b""}
    folder = Path(local_source(ADDRESS, "ckpt"))
    assert sorted(file.name for file in folder.iterdir()) == ["bundle.json", "config.yaml"]


# pain 130
def test_without_a_connection_the_copy_in_the_cache_is_used_and_named(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = local_source(ADDRESS, "ckpt")
    fail(monkeypatch, CommError("connection refused"))
    assert local_source(ADDRESS, "ckpt") == path
    assert "W&B could not be reached (connection refused): using" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UsageError("No authentication configured."), "not logged in .* `wandb login`"),
        (CommError("artifact 'x' not found"), r"cannot be read \(artifact 'x' not found\)"),
        (CommError("connection refused"), r"cannot be read \(connection refused\): download it"),
        (AuthenticationError("Failed to verify credentials"), r"\(Failed to verify credentials\)"),
    ],
)
def test_an_error_of_the_server_is_one_line(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    fail(monkeypatch, error)
    with pytest.raises(UserError, match=f"ckpt={ADDRESS}: .*{message}"):
        local_source(ADDRESS, "ckpt")


def test_an_artifact_of_another_type_is_refused(artifact: Artifact) -> None:
    artifact.type = "dataset"
    with pytest.raises(UserError, match="is of the type 'dataset', expected 'model'"):
        local_source(ADDRESS, "ckpt")
    assert not artifact.downloads


@pytest.mark.parametrize("address", ["wandb://me/cells", "wandb://a/b/c/d", "wandb://a/b/c:"])
def test_an_incomplete_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="expected wandb://ENTITY/PROJECT/NAME:ALIAS"):
        local_source(address, "weights")


@pytest.mark.slow
def test_what_the_logger_stores_is_loaded(artifact: Artifact, tiny_run: detkit.Run) -> None:
    result = SimpleNamespace(epoch=2, class_names=["a"], checkpoint=tiny_run.best_checkpoint)
    stored = best_model("1f", result, {"AP": 0.5})
    assert (stored.type, stored.name) == ("model", "model-1f")
    files = stored.manifest.entries.items()
    artifact.files = {name: Path(entry.local_path).read_bytes() for name, entry in files}
    assert detkit.load(ADDRESS).class_names == tiny_run.class_names
    assert read_source(ADDRESS).checkpoint is not None
