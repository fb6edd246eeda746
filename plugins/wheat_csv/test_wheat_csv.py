"""Reader 'wheat_csv' keeps its family's contract, and reads Kaggle's files."""

from pathlib import Path

import pytest
from PIL import Image

from detkit import registry
from detkit.contracts import cases
from detkit.errors import DataError

LINES = """\
image_id,width,height,bbox,source
b6ab77fd7,64,48,"[34.0, 12.0, 6.5, 30.0]",usask_1
b6ab77fd7,64,48,"[0.0, 0.0, 20.0, 10.0]",usask_1
b6ab77fd7,64,48,"[0.0, 0.0, 20.0]",usask_1
gone,64,48,"[0.0, 0.0, 20.0, 10.0]",usask_1
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of two images, one of them without objects."""
    (tmp_path / "train").mkdir()
    for name in ("b6ab77fd7", "aa_nothing"):
        Image.new("RGB", (64, 48)).save(tmp_path / "train" / f"{name}.jpg")
    (tmp_path / "train.csv").write_text(LINES)
    return tmp_path


def test_contract(data):
    for case in cases("reader", "wheat_csv", data=data):
        case()


def test_boxes_are_read(data):
    index = registry.get("reader", "wheat_csv")().read(data, "train")
    assert index.path(1).name == "b6ab77fd7.jpg"
    assert index.object_offsets.tolist() == [0, 0, 2]
    assert index.boxes.tolist() == [[34, 12, 40.5, 42], [0, 0, 20, 10]]
    assert [fault.why for fault in index.faults] == [
        "not four numbers in brackets",
        "in train.csv but not in train/",
    ]


def test_what_is_not_there_is_named(data):
    reader = registry.get("reader", "wheat_csv")()
    with pytest.raises(DataError, match=r"data\.validation_split=null"):
        reader.read(data, "val")
    (data / "train.csv").write_text("image_id,width,height\n")
    with pytest.raises(DataError, match=r"train\.csv' lacks the column bbox"):
        reader.read(data, None)
