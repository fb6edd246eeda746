import torch

from detkit.runs.saved_step import parse_step

STEP = {
    "number": 3,
    "epoch": 1,
    "losses": {},
    "random_state": {},
    "precision": "32-true",
    "device": "cpu",
    "rank": 0,
    "world_size": 1,
    "weights_later": 0,
    "finding": "",
}


# Objects were not padded before 2026-11-30, and batches had no tensor of sizes.
def test_step_of_an_earlier_version_is_read(tmp_path):
    first = {"boxes": torch.tensor([[1.0, 1, 5, 5], [2, 2, 9, 9]]), "labels": torch.tensor([4, 1])}
    first |= {"ignored": torch.tensor([True, False]), "areas": torch.tensor([16.0, 49])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}
    empty |= {"ignored": torch.zeros(0, dtype=torch.bool), "areas": None}
    batch = {"images": torch.zeros(2, 3, 9, 12, dtype=torch.uint8), "image_sizes": [[9, 12]] * 2}
    batch |= {"targets": [first, empty], "original_targets": [first, empty], "image_ids": [1, 2]}
    batch |= {"paths": ["a", "b"], "original_sizes": [[9, 12]] * 2, "to_image": torch.eye(3)}
    step = parse_step({"step": {**STEP, "batch": {**batch, "blank": ()}}}, tmp_path / "step.pt")
    assert step.batch.targets.counts == (1, 0)
    assert step.batch.targets.boxes[0].tolist() == [[2, 2, 9, 9]]
    assert step.batch.targets.ignored_boxes[0].tolist() == [[1, 1, 5, 5]]
    assert step.batch.size_tensor.tolist() == [[9, 12]] * 2
