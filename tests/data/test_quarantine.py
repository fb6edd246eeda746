"""Images that become unreadable during a run."""

import logging

import pytest
from torch.utils.data import DataLoader

from detkit.data import detection_dataset as module
from detkit.data.collate import Collate
from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.transforms.colour import ColorJitter
from detkit.errors import DataError


@pytest.fixture
def index(tmp_path, pictures, coco_files):
    names = [f"{number}.jpg" for number in range(12)]
    for number, name in enumerate(names):
        pictures(tmp_path / "images" / name, seed=number)
    objects = [{"image_id": n, "category_id": 3, "bbox": [n, 2, 20, 20]} for n in range(1, 13)]
    coco_files(tmp_path / "annotations.json", names, objects)
    return CocoReader().read(tmp_path, None)


def dataset_of(index, seed=0):
    return DetectionDataset(index, transforms={"colour": ColorJitter()}, seed=seed)


def spoil(index, *positions):
    for position in positions:
        index.path(position).write_bytes(b"gone bad")


# pain 23
def test_the_replacement_follows_from_seed_epoch_and_position(index):
    spoil(index, 3)
    keys = [Key(epoch, 3) for epoch in range(12)]
    first = [dataset_of(index)[key] for key in keys]
    later = dataset_of(index)  # a resumed run, which has seen nothing of the first
    for key, sample in reversed(list(zip(keys, first, strict=True))):
        again = later[key]
        assert again.path == sample.path
        assert again.image.equal(sample.image)
    assert len({sample.path for sample in first}) > 3  # not one neighbour, which would count double
    other = [dataset_of(index, seed=1)[key].path for key in keys]
    assert other != [sample.path for sample in first]


# pain 23
def test_other_samples_do_not_change(index):
    before = [dataset_of(index)[Key(2, position)].image for position in range(12)]
    spoil(index, 3, 7)
    after = dataset_of(index)
    for position in set(range(12)) - {3, 7}:
        assert after[Key(2, position)].image.equal(before[position])


def test_an_unreadable_replacement_is_replaced(index):
    spoil(index, 0, 2, 4, 6, 8)
    dataset = dataset_of(index)
    paths = {dataset[Key(epoch, 0)].path for epoch in range(20)}
    assert paths <= {str(index.path(position)) for position in (1, 3, 5, 7, 9, 10, 11)}


# pain 23
def test_a_file_is_named_once_over_all_workers(index, caplog):
    spoil(index, 3)
    dataset = dataset_of(index)
    batches = [[Key(epoch, position) for position in range(12)] for epoch in range(3)]
    loader = DataLoader(
        dataset, batch_sampler=batches, num_workers=1, collate_fn=Collate(pad_multiple=1)
    )
    assert [len(batch) for batch in loader] == [12, 12, 12]
    assert dataset.unreadable == [str(index.path(3))]  # what a worker found is known here
    with caplog.at_level(logging.WARNING, logger="detkit"):
        dataset[Key(9, 3)]
    assert caplog.messages == []  # the worker has named it


def test_the_warning_says_file_and_reason(index, caplog):
    spoil(index, 3)
    dataset = dataset_of(index)
    for epoch in range(3):
        dataset[Key(epoch, 3)]
    assert caplog.messages == [
        f"cannot decode {index.path(3)} (not an image); training uses another image instead"
    ]


def test_many_files_are_counted_but_not_named(index, caplog, monkeypatch):
    monkeypatch.setattr(module, "NAMED", 2)
    spoil(index, 1, 2, 3, 4)
    dataset = dataset_of(index)
    for position in range(12):
        dataset[Key(0, position)]
    assert len(dataset.unreadable) == 4
    assert len(caplog.messages) == 3
    assert "counted, but not named" in caplog.messages[-1]


def test_a_disk_that_went_away_stops_the_run(index):
    spoil(index, *range(12))
    with pytest.raises(DataError, match=r"7 of the 12 images of .* cannot be decoded any more: "
                       r"check that the disk is still there, then resume the run"):  # fmt: skip
        dataset_of(index)[Key(0, 0)]
