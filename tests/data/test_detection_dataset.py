import logging

import pytest
import torch

from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.data.transforms.resizing import ScaleJitter
from detkit.errors import DataError


class Draw:
    """Writes a drawn number into the image."""

    def __call__(self, sample, generator):
        value = int(torch.randint(256, (), generator=generator))
        return sample.replace(image=torch.full_like(sample.image, value))


def drawn(dataset, *key):
    return int(dataset[Key(*key)].image[0, 0, 0])


def test_a_sample_holds_image_objects_and_where_they_come_from(coco):
    dataset = DetectionDataset(CocoReader().read(coco, "train"), transforms={}, seed=0)
    sample = dataset[Key(0, 0)]
    assert sample.image.shape == (3, 30, 40)
    assert sample.target.boxes.tolist() == [[2, 3, 12, 8], [0, 0, 40, 30]]
    assert sample.target.areas.tolist() == [41.5, 900]
    assert (sample.image_id, sample.original_size) == (1, (30, 40))
    assert sample.path == str(coco / "train2017" / "a.jpg")
    assert sample.original_target is sample.target


def test_areas_are_absent_where_the_format_has_none(voc):
    dataset = DetectionDataset(VocReader().read(voc, "train"), transforms={}, seed=0)
    assert dataset.target(0).areas is None
    assert len(dataset.target(1)) == 0


def test_missing_areas_are_box_areas_if_others_are_given(coco, coco_files):
    objects = [
        {"image_id": 1, "category_id": 7, "bbox": [1, 1, 4, 5], "area": 11},
        {"image_id": 1, "category_id": 7, "bbox": [1, 1, 4, 5]},
    ]
    coco_files(coco / "annotations/instances_val2017.json", ["c.jpg"], objects)
    dataset = DetectionDataset(CocoReader().read(coco, "val"), transforms={}, seed=0)
    assert dataset.target(0).areas.tolist() == [11, 20]


# pain 24
def test_random_numbers_follow_from_seed_epoch_and_position(coco):
    index = CocoReader().read(coco, "train")
    first, second, other = (
        DetectionDataset(index, transforms={"draw": Draw()}, seed=s) for s in (0, 0, 1)
    )
    keys = [(epoch, position) for epoch in range(4) for position in range(2)]
    values = [drawn(first, *key) for key in keys]
    assert values == [drawn(second, *key) for key in reversed(keys)][::-1]
    assert len(set(values)) > 5
    assert values != [drawn(other, *key) for key in keys]


def test_the_scale_of_a_key_resizes_after_the_transforms(coco):
    index = CocoReader().read(coco, "train")
    transforms = {"double": ScaleJitter(smallest=2.0, largest=2.0)}
    sample = DetectionDataset(index, transforms=transforms, seed=0)[Key(0, 0, 0.75)]
    assert sample.size == (45, 60)
    assert sample.target.boxes[0].tolist() == [3, 4.5, 18, 12]
    assert sample.to_image.diagonal().tolist() == [1.5, 1.5, 1]


def test_an_image_that_cannot_be_decoded_is_replaced_named_and_counted(coco, caplog):
    dataset = DetectionDataset(CocoReader().read(coco, "train"), transforms={}, seed=0)
    broken = coco / "train2017" / "a.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    with caplog.at_level(logging.WARNING, logger="detkit"):
        samples = [dataset[Key(0, 0)], dataset[Key(1, 0)]]
    assert [sample.image_id for sample in samples] == [2, 2]
    assert len(caplog.records) == 1
    assert str(broken) in caplog.text
    assert dataset.unreadable == [str(broken)]


def test_an_image_that_changed_its_size_is_not_used(coco, pictures):
    dataset = DetectionDataset(CocoReader().read(coco, "train"), transforms={}, seed=0)
    pictures(coco / "train2017" / "a.jpg", 50, 50)
    assert dataset[Key(0, 0)].image_id == 2


def test_a_data_set_of_broken_images_is_an_error(coco):
    dataset = DetectionDataset(CocoReader().read(coco, "val"), transforms={}, seed=0)
    (coco / "val2017" / "c.jpg").unlink()
    with pytest.raises(DataError, match="1 of the 1 images"):
        dataset[Key(0, 0)]
