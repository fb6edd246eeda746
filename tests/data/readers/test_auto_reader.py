import pytest

from detkit.data.readers.auto import AutoReader, detect
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError


@pytest.mark.parametrize(
    ("fixture", "reader"), [("coco", CocoReader), ("voc", VocReader), ("yolo", YoloReader)]
)
def test_the_format_is_recognised_and_read(request, fixture, reader):
    path = request.getfixturevalue(fixture)
    assert isinstance(detect(path), reader)
    assert AutoReader().splits(path) == ["train", "val"]
    assert sorted(AutoReader().read(path, "train").class_names) == ["cat", "dog"]


def test_an_unrecognised_folder_lists_the_expected_files(tmp_path):
    (tmp_path / "notes.md").write_text("nothing here")
    with pytest.raises(DataError, match=r"It holds: notes.md.*Looked for COCO .* VOC .* YOLO"):
        AutoReader().splits(tmp_path)


def test_a_missing_folder_names_the_nearest_one(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"no folder '.*fotos'.*Did you mean 'photos'.*data.path"):
        AutoReader().read(tmp_path / "fotos", None)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        AutoReader().read(tmp_path, None)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match="is a file"):
        AutoReader().read(tmp_path / "a.json", None)
