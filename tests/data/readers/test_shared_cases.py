"""Small data sets on which detkit once failed."""

import tarfile
from pathlib import Path

import pytest

from detkit.data.readers.auto import AutoReader

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.mark.parametrize(("name", "classes", "line"), [
    ("06_voc_xml_beside_images", ["cat", "dog"], None),
    ("08_coco_label_studio_result_json", ["cat", "dog"], "result.json: matched 4 of 4 image names"),
    ("10a_coco_absolute_names", ["cat", "dog"], "4 by the end of the path ('/home/other/project"),
    ("11_coco_polygons_only", ["cat", "dog"], "8 annotations without a bbox"),
])  # fmt: skip
def test_a_case_is_read(tmp_path, caplog, name, classes, line):
    archive = CASES / f"{name}.tar.gz"
    if not archive.is_file():
        pytest.skip("needs ../shared/cases")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    with caplog.at_level("INFO", logger="detkit"):
        index = AutoReader().read(tmp_path / name, None)
    assert (len(index), len(index.labels), sorted(index.class_names)) == (4, 8, classes)
    assert index.dropped == []
    assert [line in text for text in caplog.messages] == ([True] if line else [])
