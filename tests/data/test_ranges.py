"""Labels and boxes out of range are refused on the CPU, with the file's name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.data.collate import Collate
from detkit.data.module import DetectionData
from detkit.data.ranges import check_index
from detkit.data.readers.voc import VocReader
from detkit.errors import DataError
from detkit.structures import Target

NAN = float("nan")


def changed(sample, box, label=0):
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], box])
    target = Target(boxes, torch.tensor([0, label]), torch.tensor([False, False]))
    return sample.replace(target=target, path="second.jpg")


# pain 12
@pytest.mark.parametrize(
    ("box", "label", "shown"),
    [
        ([0.0, 0.0, 4.0, 4.0], 2, "label 2 and box"),
        ([0.0, 0.0, 4.0, 4.0], -1, "label -1 and box"),
        ([0.0, NAN, 4.0, 4.0], 1, r"box \[0, nan, 4, 4\]"),
        ([9.0, 0.0, 4.0, 4.0], 1, r"box \[9, 0, 4, 4\]"),
        ([0.0, 0.0, 41.5, 4.0], 1, r"inside the image of 40 x 20"),
    ],
)
def test_batch_with_a_spoilt_object_is_refused_by_name(samples, box, label, shown):
    batch = [samples([[0, 0, 4, 4]]), samples([]), changed(samples([]), box, label)]
    with pytest.raises(DataError, match=rf"second\.jpg: an object with .*{shown}"):
        Collate(pad_multiple=32, num_classes=2)(batch)


def test_batch_in_range_passes(samples):
    edge = changed(samples([]), [0.0, 0.0, 40.4, 20.0], label=1)
    assert len(Collate(pad_multiple=32, num_classes=2)([samples([]), edge])) == 2
    assert len(Collate(pad_multiple=32, num_classes=2)([samples([])])) == 1


# pain 12
@pytest.mark.parametrize("field", ["labels", "boxes"])
def test_index_of_a_careless_reader_is_refused_once(voc: Path, field, monkeypatch):
    read = VocReader.read

    def careless(self, path, split):
        index = read(self, path, split)
        values = getattr(index, field).copy()
        values[-1] = index.labels.max() + 1 if field == "labels" else np.nan
        return dataclasses.replace(index, **{field: values})

    monkeypatch.setattr(VocReader, "read", careless)
    data = DetectionData(
        path=str(voc), reader=VocReader(), train_transforms={}, evaluation_transforms={}, seed=0
    )
    with pytest.raises(DataError, match=r"a\.jpg: an object with .*1 of 2 objects are like this"):
        data.train_loader()


def test_index_of_detkit_passes(voc: Path):
    index = VocReader().read(voc, "train")
    check_index(index)
    check_index(dataclasses.replace(index, boxes=index.boxes[:0], labels=index.labels[:0]))
