"""Contract of every registered reader, on a folder of its format."""

import pytest
from contract_cases import builtin

from detkit.contracts import cases

FORMATS = {name: name for name in ("coco", "voc", "yolo", "labelme", "cvat", "openimages")}
FORMATS |= {"auto": "yolo", "shapes": "tmp_path", "fiftyone": "fiftyone_folder"}
FEW = {"shapes": {"train_images": 4, "validation_images": 2, "image_size": 64}}


@pytest.mark.parametrize("name", builtin("reader"))
def test_a_reader_keeps_its_contract(request, name):
    folder = request.getfixturevalue(FORMATS[name])
    for case in cases("reader", name, data=folder, **FEW.get(name, {})):
        case()
