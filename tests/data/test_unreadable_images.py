"""Images of a measured split that cannot be decoded."""

import logging

import pytest
import torch

from detkit.data.collate import Collate
from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.transforms.colour import ColorJitter
from detkit.data.unreadable_images import describe_unreadable
from detkit.structures import Detections


@pytest.fixture
def spoiled(tmp_path, pictures, coco_files):
    """Six images with an object each; the second is truncated and has a crowd."""
    names = [f"{number}.jpg" for number in range(6)]
    for number, name in enumerate(names):
        pictures(tmp_path / "images" / name, seed=number)
    objects = [{"image_id": n, "category_id": 3, "bbox": [n, 2, 20, 20]} for n in range(1, 7)]
    objects.append({"image_id": 2, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1})
    coco_files(tmp_path / "annotations.json", names, objects)
    file = tmp_path / "images/1.jpg"
    file.write_bytes(file.read_bytes()[:-200])
    return tmp_path


def measured(path):
    index = CocoReader().read(path, None)
    return DetectionDataset(index, transforms={"c": ColorJitter()}, seed=0, is_measured=True)


# pain 36
def test_an_image_that_cannot_be_decoded_keeps_its_id_and_objects(spoiled):
    sample = measured(spoiled)[Key(0, 1)]
    assert (sample.image_id, sample.is_decoded, sample.size) == (2, False, (30, 40))
    assert sample.original_target.boxes.tolist()[0] == [2, 2, 22, 22]


# pain 36
def test_its_objects_count_as_missed_for_any_detections(spoiled):
    dataset = measured(spoiled)
    batch = Collate(pad_multiple=1)([dataset[Key(0, position)] for position in range(3)])
    found = Detections(torch.tensor([[2.0, 2, 22, 22]]), torch.tensor([0.9]), torch.tensor([0]))
    assert [len(kept.scores) for kept in batch.without_blank([found] * 3)] == [1, 0, 1]


def test_the_warning_is_not_that_of_training(spoiled, caplog):
    with caplog.at_level(logging.WARNING, logger="detkit"):
        measured(spoiled)[Key(0, 1)]
    (message,) = caplog.messages
    assert (
        "1.jpg (truncated file); it is measured without detections, so its objects (1) count"
        in message
    )
    assert "another image" not in message


# pain 36
def test_the_results_table_counts_them(spoiled):
    (spoiled / "images/4.jpg").write_bytes(b"no image")
    data = DetectionData(
        path=str(spoiled),
        reader=CocoReader(),
        sampling=None,
        train_transforms={},
        evaluation_transforms={},
        seed=0,
        workers=0,
    )
    loader = data.measuring_loader(CocoReader().read(spoiled, None))
    list(loader)
    assert describe_unreadable(loader) == [
        "1 image of 5 cannot be decoded, so 1 object in it counts as missed: "
        f"{spoiled / 'images/1.jpg'}",
        "left out with its objects: 1 image (not an image): images/4.jpg",
    ]
