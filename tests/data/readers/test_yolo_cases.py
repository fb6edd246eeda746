"""The YOLO archives of ../shared/cases, each with what its README calls right."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from test_detection_data import data_of

from detkit.data.audit.evidence import gather
from detkit.data.audit.rules import audit, training_would_suffer
from detkit.data.readers.auto import AutoReader
from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.fixture
def case(tmp_path):
    """Unpack an archive and give its folder."""

    def unpack(name):
        archive = CASES / f"{name}.tar.gz"
        if not archive.is_file():
            pytest.skip(f"there is no {archive}")
        with tarfile.open(archive) as packed:
            packed.extractall(tmp_path, filter="data")
        return tmp_path / name

    return unpack


def test_pose_labels_give_their_boxes(case):
    folder = case("01_yolo_pose_lines")
    index = AutoReader().read(folder, "train")
    widths = (index.boxes[:, 2] - index.boxes[:, 0]) / index.sizes[0, 1]
    labels = [(folder / f"labels/train/train{n}.txt").read_text().splitlines() for n in range(4)]
    expected = [float(line.split()[3]) for lines in labels for line in lines]
    np.testing.assert_allclose(widths, expected, atol=1e-5)


def test_labels_of_other_spellings_are_matched(case):
    index = AutoReader().read(case("02_yolo_labels_without_image"), "train")
    assert np.diff(index.object_offsets).tolist() == [2, 2, 2, 2]
    assert sum(index.pairing.matches.values()) == 2


def test_a_misspelt_validation_entry_is_an_error(case):
    folder = case("03_yolo_val_misspelt")
    with pytest.raises(DataError, match=r"`val: images/vall`.*Did you mean 'images/val'"):
        data_of(folder).describe()
    assert training_would_suffer(audit(gather(AutoReader(), folder)))


def test_the_lists_of_darknet_are_the_splits(case):
    line = data_of(case("04_darknet_splits")).describe()
    assert "train 4 images, 8 objects; validation 2 images, 4 objects; 2 classes (cat, do" in line


def test_class_names_are_text(case):
    assert YoloReader().read(case("05_yolo_names_on_off"), "val").class_names == ["on", "off"]


def test_hidden_copies_are_not_read(case):
    assert len(AutoReader().read(case("14_hidden_folder_images"), "train")) == 4
