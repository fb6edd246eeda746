import argparse
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

import detkit
from detkit.errors import UserError
from detkit.runs.checkpoint import find_checkpoint, load_weights, read_checkpoint
from detkit.runs.checkpoint_record import Record, explain_unknown_part, parse_record
from detkit.runs.tensor_file import read_tensors
from detkit.structures import ClassCounts

COUNTS = ClassCounts(images=3, images_with_class=[2], objects=[5])
RECORD = {"config": {"seed": 1}, "class_names": ["cat"], "category_ids": [7], "version": "0"}


class Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


def write(path, **changes):
    weights = {f"detector.{name}": value for name, value in nn.Linear(2, 1).state_dict().items()}
    content = {"state_dict": {**weights, "other": torch.ones(1)}, "detkit": RECORD, "epoch": 4}
    torch.save({**content, **changes}, path)
    return path


def test_written_results_are_read(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path / "a.ckpt"))
    assert (checkpoint.class_names, checkpoint.category_ids) == (["cat"], [7])
    assert checkpoint.config == {"seed": 1}
    assert checkpoint.epoch == 5
    assert sorted(checkpoint.weights) == ["bias", "weight"]
    model = nn.Linear(2, 1)
    load_weights(model, checkpoint)
    assert torch.equal(model.weight, checkpoint.weights["weight"])


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"Python objects \(posix.mkdir\), which detkit never loads"
    ):
        read_checkpoint(write(tmp_path / "a.ckpt", extra=Runs()))
    assert not (tmp_path / "ran").exists()


def test_a_file_that_was_cut_short_is_called_damaged(tmp_path):
    path = write(tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="damaged or cut short"):
        read_checkpoint(path)


def test_a_checkpoint_of_another_program_is_refused(tmp_path):
    torch.save({"model": torch.ones(1)}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="was not written by detkit"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_weights_that_do_not_fit_are_named(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path / "a.ckpt"))
    with pytest.raises(UserError, match=r"1 of another shape \(weight"):
        load_weights(nn.Linear(3, 1), checkpoint)
    with pytest.raises(UserError, match=r"1 missing \(0\.weight.*2 unused \(bias, weight"):
        load_weights(nn.Sequential(nn.Linear(2, 1, bias=False)), checkpoint)


def roi_head(*parts):
    """A detector whose roi head has these parts."""
    return nn.ModuleDict({"roi_head": nn.ModuleDict({name: nn.Linear(2, 1) for name in parts})})


def test_a_detector_without_the_mask_head_of_its_checkpoint_gets_the_other_weights(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path / "a.ckpt"))
    masks, boxes = roi_head("stage", "mask_head"), roi_head("stage")
    load_weights(boxes, replace(checkpoint, weights=masks.state_dict()))
    assert torch.equal(boxes["roi_head"]["stage"].weight, masks["roi_head"]["stage"].weight)
    with pytest.raises(UserError, match=r"2 missing \(roi_head\.mask_head"):
        load_weights(masks, replace(checkpoint, weights=boxes.state_dict()))


def half(path):
    write(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def half_of_an_old_format(path):
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:2000])


def nothing(path):
    path.touch()


def photograph(path):
    Image.new("RGB", (9, 9)).save(path, format="JPEG")


def text(path):
    path.write_text("epoch,loss\n1,0.5\n")


def pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes.txt", "x")


def changed_byte(path):
    write(path, other=torch.arange(5000.0))
    content = bytearray(path.read_bytes())
    content[content.find(torch.arange(4000.0, 4010.0).numpy().tobytes())] ^= 1
    path.write_bytes(bytes(content))


def whole_module(path):
    torch.save(nn.Linear(2, 1), path)


def arguments_of_a_script(path):
    write(path, args=argparse.Namespace(a=1))


FAULTS = [
    (half, "damaged or cut short: copy or download it again"),
    (half_of_an_old_format, "damaged or cut short"),
    (nothing, "is empty: the disk was full"),
    (photograph, "is not a checkpoint but a JPEG image"),
    (text, "is not a checkpoint but a text file"),
    (pointer, "git lfs pull"),
    (archive, "is a zip archive but not a checkpoint"),
    (changed_byte, r"is damaged: the bytes of '.*' have changed since"),
    (whole_module, r"holds Python objects \(torch.nn.modules.linear.Linear\)"),
    (arguments_of_a_script, r"argparse.Namespace.*save the tensors alone"),
]


@pytest.mark.parametrize(("make", "message"), FAULTS, ids=[make.__name__ for make, _ in FAULTS])
# pain 19
def test_each_fault_of_a_file_is_one_line(tmp_path, make, message):
    make(tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(tmp_path / "a.ckpt")
    assert "\n" not in str(caught.value)
    assert "a.ckpt" in str(caught.value)


def nested(depth):
    return {"a": nested(depth - 1)} if depth else 1


def branching():
    """A few objects that expand to 2**60 values."""
    value = [1]
    for _ in range(30):
        value = [value, value]
    return value


def endless():
    value = {}
    value["again"] = value
    return value


RECORDS = [
    ({"format": 99, "version": "7.1"}, r"was written by detkit 7.1 .*format 99.*: update detkit"),
    ({"format": "new"}, "'format' is 'new'"),
    ({"class_names": "cat"}, r"'class_names' is 'cat' \(str\), expected a list of names"),
    ({"class_names": []}, "expected a list of names"),
    ({"class_names": [3]}, "expected a list of names"),
    ({"category_ids": [1, 2]}, "expected 1 whole numbers"),
    ({"category_ids": [True]}, "expected 1 whole numbers"),
    ({"config": None}, "it has no 'config'"),
    ({"config": 4}, "'config' is 4"),
    ({"plugins": "os"}, "'plugins' is 'os'"),
    ({"data": [1]}, r"'data' is \[1\]"),
    ({"config": {"seed": torch.ones(1)}}, r"'config.seed' is tensor.*expected a plain value"),
    (
        {"config": {"model": {"_target_": "os.system"}}},
        "names code to run .'config.model._target_'",
    ),
    ({"config": {"x": [{"()": "shutil.copy"}]}}, r"names code to run .'config.x.0.\(\)'"),
    ({"config": {"model": {"defaults": ["x"]}}}, "it has the key 'config.model.defaults'"),
    ({"config": {"name": "${oc.env:HOME}"}}, "'config.name' is .*to be read from elsewhere"),
    ({"config": {3: 4}}, "it has the key 'config.3'"),
    ({"config": nested(50)}, "more values than a configuration has"),
    ({"config": {"a": branching()}}, "more values than a configuration has"),
    ({"config": endless()}, "more values than a configuration has"),
]


@pytest.mark.parametrize(("change", "message"), RECORDS, ids=[str(i) for i in range(len(RECORDS))])
# pain 19
def test_each_change_of_a_record_is_one_line(tmp_path, change, message):
    path = write(tmp_path / "a.ckpt", detkit={**RECORD, **change})
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_record_without_a_format_is_of_the_first(tmp_path):
    record = {key: RECORD[key] for key in ("config", "class_names", "category_ids")}
    assert read_checkpoint(write(tmp_path / "a.ckpt", detkit=record)).record.version == "unknown"


def test_a_record_is_read_as_it_was_written():
    record = Record({"a": [1, None]}, ["cat"], [7], "1.0", ["p"], {"train": "x"}, None, COUNTS)
    assert parse_record(record.plain(), Path("x")) == record


def test_counts_of_other_classes_are_refused():
    record = RECORD | {"class_counts": ClassCounts(3, [2, 1], [5, 1]).plain()}
    with pytest.raises(
        UserError, match=r"a.ckpt: its record .*'class_counts': .* expected 1 whole"
    ):
        parse_record(record, Path("a.ckpt"))


@pytest.mark.parametrize(
    "state",
    [torch.ones(1), {"detector.weight": 3}, {3: torch.ones(1)}, {"a": torch.ones(2).to_sparse()}],
)
def test_a_state_without_named_tensors_is_refused(tmp_path, state):
    with pytest.raises(UserError, match="expected ordinary tensors by name"):
        read_checkpoint(write(tmp_path / "a.ckpt", state_dict=state))


def test_an_epoch_that_is_not_a_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="its epoch is a str"):
        read_checkpoint(write(tmp_path / "a.ckpt", epoch="4"))


def test_a_checkpoint_without_a_training_cannot_be_resumed(tmp_path):
    assert not read_checkpoint(write(tmp_path / "a.ckpt")).resumable
    assert read_checkpoint(write(tmp_path / "b.ckpt", optimizer_states=[])).resumable


def test_absent_plugins_are_named_and_not_imported(tmp_path):
    record = Record({}, ["cat"], [7], plugins=["antigravity", "here.py"])
    text = explain_unknown_part(record, [str(Path.cwd() / "here.py")])
    assert "plugins that are not loaded (antigravity)" in text
    assert "add plugins=[antigravity]" in text
    assert "antigravity" not in sys.modules


def test_another_version_is_named_where_a_part_is_unknown():
    assert "by detkit 0.0.1" in explain_unknown_part(Record({}, ["a"], [1], "0.0.1"), [])
    assert explain_unknown_part(Record({}, ["a"], [1], detkit.__version__), []) == ""


@pytest.mark.parametrize(("prefer", "name"), [("best", "best.ckpt"), ("last", "last.ckpt")])
def test_a_run_folder_is_read_as_its_checkpoint(tmp_path, prefer, name):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for file in ("best.ckpt", "last.ckpt"):
        (folder / file).touch()
    assert find_checkpoint(str(tmp_path), prefer) == folder / name
    assert find_checkpoint(str(folder), prefer) == folder / name
    (folder / name).unlink()
    assert find_checkpoint(str(tmp_path), prefer).name != name


# pain 47
def test_a_run_without_a_best_checkpoint_says_that_it_uses_the_last(tmp_path, caplog):
    (tmp_path / "last.ckpt").touch()
    assert find_checkpoint(str(tmp_path), "last") == tmp_path / "last.ckpt"
    assert not caplog.records
    assert find_checkpoint(str(tmp_path)) == tmp_path / "last.ckpt"
    assert "no validation has given a valid AP yet" in caplog.text


def test_a_place_without_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"holds no checkpoints/best\.ckpt"):
        find_checkpoint(str(tmp_path))
    with pytest.raises(UserError, match="no such file or folder"):
        find_checkpoint(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("module", "expression"),
    [
        ("ultralytics.nn.tasks", ".YOLO('a.pt').model.float().state_dict(), 'weights.pth')"),
        ("models.yolo", "torch.load('a.pt', map_location='cpu', weights_only=False)['model']"),
        ("mmengine.logging.history_buffer", "weights_only=False)['state_dict'], 'weights.pth')"),
    ],
)
def test_the_line_that_saves_tensors_fits_the_library(tmp_path, monkeypatch, module, expression):
    made = type("Made", (), {"__module__": module})
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), SimpleNamespace(Made=made))
    torch.save({"model": made()}, tmp_path / "a.pt")
    with pytest.raises(UserError) as caught:
        read_tensors(tmp_path / "a.pt")
    assert expression in str(caught.value)
