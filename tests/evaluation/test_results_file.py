import json

import pytest
import torch

from detkit.errors import DataError
from detkit.evaluation.results_file import read_rows, result_rows, write_results
from detkit.structures import DetectionMasks, Detections

FOUND = Detections(
    torch.tensor([[10.3, 20.7, 40.4, 60.9], [0.1, 0.2, 0.3, 640.7]]),
    torch.tensor([0.9, 0.123456789]),
    torch.tensor([1, 0]),
)
NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def test_a_row_by_hand():
    found = Detections(torch.tensor([[1.0, 2.0, 4.0, 8.0]]), torch.tensor([0.5]), torch.tensor([1]))
    assert result_rows(42, found, [7, 3], "a b/ü.jpg") == [
        {
            "image_id": 42,
            "file_name": "a b/ü.jpg",
            "category_id": 3,
            "bbox": [1.0, 2.0, 3.0, 6.0],
            "score": 0.5,
        }
    ]
    assert "file_name" not in result_rows(42, found, [7, 3])[0]


def test_reading_gives_back_every_bit(tmp_path):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand((200, 2), generator=generator) * 4000
    boxes = torch.cat([corners, corners + torch.rand((200, 2), generator=generator) * 300], dim=1)
    scores = torch.rand(200, generator=generator)
    many = Detections(boxes, scores, torch.randint(3, (200,), generator=generator))
    write_results(tmp_path / "r.json", [(5, many), (6, NOTHING), (7, FOUND)], [30, 10, 20])
    rows = read_rows(tmp_path / "r.json")
    assert [row.image for row in rows] == [5] * 200 + [7] * 2
    assert torch.equal(torch.tensor([row.box for row in rows[:200]]), boxes)
    assert torch.equal(torch.tensor([row.score for row in rows[:200]]), scores)
    assert [row.category for row in rows[200:]] == [10, 30]


def test_masks_are_written_as_segmentations_and_read_again(tmp_path):
    masks = DetectionMasks(torch.ones(2, 28, 28), FOUND.boxes, (50, 60))
    write_results(tmp_path / "r.json", [(7, FOUND.with_masks(masks))], [1, 2])
    expected = masks.encoded().rle()
    assert [row.segmentation for row in read_rows(tmp_path / "r.json")] == expected


def test_nothing_found_is_an_empty_list(tmp_path):
    write_results(tmp_path / "r.json", [(5, NOTHING)], [1])
    assert json.loads((tmp_path / "r.json").read_text()) == []
    assert read_rows(tmp_path / "r.json") == []


@pytest.mark.parametrize("key", ["annotations", "predictions", "detections", "results"])
def test_a_wrapped_list_is_read(tmp_path, key):
    rows = result_rows(1, FOUND, [1, 2])
    (tmp_path / "r.json").write_text(json.dumps({"info": {}, key: rows}))
    assert len(read_rows(tmp_path / "r.json")) == 2


ROW = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}


# pain 34
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("3", "holds 3; expected a list of detections"),
        ([3], "row 1 is 3, no object"),
        ({"images": []}, "an object with the keys images; expected a list"),
        ({"results": [], "predictions": []}, "an object with the lists predictions, results"),
        ([ROW, {"bbox": [1, 2, 3, 4]}], "row 2 has no image_id, category_id, score"),
        ([{**ROW, "score": None}], r"row 1 has no score.* Is it a file of annotations\?"),
        ([{**ROW, "bbox": [1, 2, 3]}], r"row 1 has bbox \[1, 2, 3\] and score 0.5; expected 4"),
        ([{**ROW, "score": "high"}], "row 1 has .* score 'high'; expected"),
        ([{**ROW, "score": float("nan")}], "row 1 has a bbox or a score that is not finite"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "r.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: there is no such file"):
        read_rows(tmp_path / "none.json")
