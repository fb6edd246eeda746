"""Label Studio's own checks accept the files of the writer `label_studio`."""

import json

import pytest

from detkit import registry
from detkit.structures import ImageRecord

CONFIGURATION = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="cat"/><Label value="dog"/>
</RectangleLabels></View>"""


class Records(list):
    class_names = ("cat", "dog")
    category_ids = (7, 9)


@pytest.mark.slow
def test_tasks_and_predictions_are_valid():
    package = pytest.importorskip(
        "label_studio_sdk.label_interface", reason="pip install label-studio-sdk"
    )
    interface = package.LabelInterface(CONFIGURATION)
    boxes = [(20.0, 10.0, 60.0, 30.0), (0.0, 0.0, 200.0, 50.0)]
    full = ImageRecord(1, "a", "photos/a.jpg", (50, 200), boxes, [0.75, 0.25], [1, 0])
    empty = ImageRecord(2, "b", "https://example.com/b.jpg", (50, 200), [], [], [])
    ((_, pieces),) = registry.get("writer", "label_studio")().final_files(Records([full, empty]))
    for task in json.loads("".join(pieces)):
        (prediction,) = task["predictions"]
        assert interface.validate_task({"data": task["data"]})
        assert interface.validate_prediction(prediction, return_errors=True) == []
