import hashlib
import json

import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.runs.bundle import Bundle, write_bundle
from detkit.runs.checkpoint import find_checkpoint, load_weights, read_checkpoint
from detkit.runs.checkpoint_record import Record

RECORD = Record({"model": {"name": "x"}, "run": ["é", None]}, ["cat", "dog"], [3, 9], "0.1")


@pytest.fixture
def bundle(tmp_path):
    model = nn.Conv2d(3, 2, 3).to(memory_format=torch.channels_last)
    weights = {**model.state_dict(), "again": model.weight, "count": torch.tensor(3)}
    write_bundle(Bundle(RECORD, weights, 4, {"torch": "2"}), tmp_path / "mine")
    return tmp_path / "mine", weights


def test_a_bundle_is_read_exactly_as_written(bundle):
    folder, weights = bundle
    checkpoint = read_checkpoint(find_checkpoint(str(folder)))
    assert checkpoint.record == RECORD
    assert (checkpoint.epoch, checkpoint.resumable) == (4, False)
    assert checkpoint.weights.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(checkpoint.weights[name], value)
        assert checkpoint.weights[name].dtype == value.dtype


def test_other_programs_can_read_it(bundle):
    folder, _ = bundle
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert content["class_names"] == ["cat", "dog"]
    assert content["data"] is None
    assert content["versions"] == {"torch": "2"}
    assert sorted(path.name for path in folder.iterdir()) == [
        *("bundle.json", "config.yaml", "weights.safetensors"),
    ]


def test_its_weights_stand_for_it(bundle):
    folder, _ = bundle
    assert read_checkpoint(folder / "weights.safetensors").class_names == ["cat", "dog"]


@pytest.mark.parametrize("name", ["weights.safetensors", "config.yaml"])
def test_a_changed_byte_is_found(bundle, name):
    folder, _ = bundle
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(UserError, match=f"{name}: does not match its checksum in bundle.json"):
        read_checkpoint(folder / "bundle.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.safetensors", None, "weights.safetensors: is missing from the bundle"),
        ("bundle.json", "{", "bundle.json: is not valid JSON"),
        ("bundle.json", "[]", "bundle.json: is not a bundle"),
        ("bundle.json", "{}", "does not match its checksum in bundle.json"),
    ],
)
def test_a_missing_or_broken_part_is_named(bundle, name, content, message):
    folder, _ = bundle
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read_checkpoint(folder / "bundle.json")


def rewrite_config(folder, text):
    """Change the configuration and its check sum, as a stranger can."""
    (folder / "config.yaml").write_text(text)
    content = json.loads((folder / "bundle.json").read_text())
    digest = hashlib.sha256(text.encode()).hexdigest()
    content["files"]["config.yaml"] = {"bytes": len(text), "sha256": digest}
    (folder / "bundle.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1]\nb: [*a, *a]\n", "contains YAML references"),
        ("a: !!python/object/apply:os.mkdir [ran]\n", "is not valid YAML"),
        ("a: [", "is not valid YAML"),
        ("- 1\n", "'config' is"),
        ("model: {_target_: os.mkdir}\n", "names code to run"),
    ],
)
# pain 19
def test_a_strangers_configuration_runs_nothing(bundle, monkeypatch, tmp_path, text, message):
    monkeypatch.chdir(tmp_path)
    rewrite_config(bundle[0], text)
    with pytest.raises(UserError, match=message):
        read_checkpoint(bundle[0] / "bundle.json")
    assert not (tmp_path / "ran").exists()


def test_nothing_is_overwritten(bundle, tmp_path):
    with pytest.raises(UserError, match="mine: exists already"):
        write_bundle(Bundle(RECORD, {}, 1, {}), tmp_path / "mine")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_bundle(Bundle(RECORD, {}, 1, {}), tmp_path / "file" / "mine")


def test_weights_of_another_model_are_refused(bundle):
    with pytest.raises(UserError, match="do not fit this detector"):
        load_weights(nn.Linear(2, 2), read_checkpoint(bundle[0] / "bundle.json"))


def test_every_file_has_the_permissions_that_the_umask_gives(bundle, tmp_path):
    folder, _ = bundle
    (tmp_path / "other").touch()
    usual = (tmp_path / "other").stat().st_mode & 0o777
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {usual}
