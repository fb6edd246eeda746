"""FiftyOne's export as its version 1.22 writes it, and its database with the real package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from detkit.data.readers.auto import detect
from detkit.data.readers.fiftyone_reader import FiftyOneReader
from detkit.errors import DataError


def change(folder: Path, **values: Any) -> None:
    """Set values of the first sample."""
    file = folder / "samples.json"
    content = json.loads(file.read_text())
    content["samples"][0].update(values)
    file.write_text(json.dumps(content))


def detections(*items: dict[str, Any]) -> dict[str, Any]:
    return {"_cls": "Detections", "detections": list(items)}


def test_boxes_classes_and_splits_of_an_export(fiftyone_folder: Path) -> None:
    reader = FiftyOneReader()
    assert reader.splits(fiftyone_folder) == ["train", "validation"]
    index = reader.read(fiftyone_folder, "train")
    assert index.class_names == ["cat", "dog"]
    assert index.path(0) == fiftyone_folder / "data/a.jpg"
    assert index.boxes.tolist() == [[10, 6, 22, 18], [0, 0, 20, 15]]
    assert index.labels.tolist() == [0, 1]
    assert index.ignored.tolist() == [False, True]
    assert len(reader.read(fiftyone_folder, "validation").boxes) == 0


def test_a_sample_without_a_split_tag_makes_one_split_of_all(fiftyone_folder: Path) -> None:
    change(fiftyone_folder, tags=["checked"])
    assert FiftyOneReader().splits(fiftyone_folder) == []
    assert len(FiftyOneReader().read(fiftyone_folder, None)) == 2


def test_sizes_come_from_metadata_where_it_exists(fiftyone_folder: Path) -> None:
    change(fiftyone_folder, metadata={"width": 80, "height": 60})
    (fault,) = FiftyOneReader().read(fiftyone_folder, None).dropped
    assert "annotated 80 x 60, file 40 x 30" in fault


def test_another_field_and_a_single_detection(fiftyone_folder: Path) -> None:
    box = {"_cls": "Detection", "label": "cow", "bounding_box": [0, 0, 1, 1], "confidence": 0.5}
    change(fiftyone_folder, best=box)
    index = FiftyOneReader(field="best").read(fiftyone_folder, "train")
    assert (index.class_names, index.boxes.tolist()) == (["cow"], [[0, 0, 40, 30]])


def test_a_faulty_box_is_left_out_and_named(fiftyone_folder: Path) -> None:
    items = detections({"label": "cat", "bounding_box": [0.1]}, {"label": "cat"})
    change(fiftyone_folder, ground_truth=items)
    (fault,) = FiftyOneReader().read(fiftyone_folder, "train").dropped
    assert fault.startswith("2 boxes (no four numbers): data/a.jpg")


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        ({}, {"field": "ground_thruth"}, "Did you mean 'ground_truth'"),
        ({"_media_type": "video"}, {}, "samples of the type video, expected images"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    fiftyone_folder: Path, values: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    change(fiftyone_folder, **values)
    with pytest.raises(DataError, match=message):
        FiftyOneReader(**settings).read(fiftyone_folder, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as FiftyOne writes it"), ("[]", "cannot be read as"), (None, "has no")],
)
def test_a_damaged_or_missing_file_is_one_line(
    fiftyone_folder: Path, text: str | None, message: str
) -> None:
    file = fiftyone_folder / "samples.json"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(DataError, match=message):
        FiftyOneReader().splits(fiftyone_folder)


def test_a_dataset_of_the_database_is_read_by_name(
    fiftyone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = json.loads((fiftyone_folder / "samples.json").read_text())["samples"]
    for sample in samples:  # the database holds absolute paths
        sample["filepath"] = str(fiftyone_folder / sample["filepath"])
    documents = [SimpleNamespace(to_dict=lambda sample=sample: sample) for sample in samples]
    database = SimpleNamespace(list_datasets=lambda: ["pets"], load_dataset=lambda _: documents)
    monkeypatch.setitem(sys.modules, "fiftyone", database)
    index = FiftyOneReader(dataset="pets").read(fiftyone_folder, "train")
    assert index.boxes.tolist() == [[10, 6, 22, 18], [0, 0, 20, 15]]
    with pytest.raises(DataError, match=r"no such dataset\. Did you mean 'pets'"):
        FiftyOneReader(dataset="pet").read(fiftyone_folder, None)


def test_the_database_needs_the_package(
    fiftyone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(DataError, match=r'pip install "detkit\[fiftyone\]"'):
        FiftyOneReader(dataset="pets").splits(fiftyone_folder)


def test_an_export_without_the_reader_names_it(fiftyone_folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"samples\.json.* holds FiftyOne's samples: set data.reader"
    ):
        detect(fiftyone_folder)
