"""An index with labels or boxes out of range is refused, with the file's name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from detkit.data.detection_data import DetectionData
from detkit.data.index_checks import check_index
from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError


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
        path=str(voc),
        reader=VocReader(),
        sampling=None,
        train_transforms={},
        evaluation_transforms={},
        seed=0,
    )
    with pytest.raises(DataError, match=r"a\.jpg: an object with .*like this: 1 of 2 objects"):
        data.train_loader()


def test_index_of_detkit_passes(voc: Path):
    index = VocReader().read(voc, "train")
    check_index(index)
    check_index(dataclasses.replace(index, boxes=index.boxes[:0], labels=index.labels[:0]))
