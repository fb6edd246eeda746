import json

import pytest
import torch

from detkit.errors import DataError
from detkit.evaluation.results import read_results, result_rows, write_results, write_rows
from detkit.structures import Detections

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
    scores = torch.rand(200, generator=generator).sort(descending=True).values
    many = Detections(boxes, scores, torch.randint(3, (200,), generator=generator))
    write_results(tmp_path / "r.json", [(5, many), (6, NOTHING), (7, FOUND)], [30, 10, 20])
    back = read_results(tmp_path / "r.json", [30, 10, 20])
    assert list(back) == [5, 7]
    for read, written in ((back[5], many), (back[7], FOUND)):
        assert all(torch.equal(a, b) for a, b in zip(read, written, strict=True))


def test_nothing_found_is_an_empty_list(tmp_path):
    write_results(tmp_path / "r.json", [(5, NOTHING)], [1])
    assert json.loads((tmp_path / "r.json").read_text()) == []
    assert read_results(tmp_path / "r.json", [1]) == {}


def test_rows_are_read_best_first(tmp_path):
    rows = result_rows(1, FOUND, [1, 2])
    write_rows(tmp_path / "r.json", rows[::-1])
    assert read_results(tmp_path / "r.json", [1, 2])[1].labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as COCO results"),
        ("[3]", "cannot be read as COCO results"),
        ('[{"bbox": [1, 2, 3, 4]}]', "'score' is missing"),
        (
            '[{"bbox": [0, 0, 1, 1], "score": 1, "category_id": 9}]',
            r"9 is missing.*one of \[1, 2\]",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / "r.json", [1, 2])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: there is no such file"):
        read_results(tmp_path / "none.json", [1])
