import torch
from rectangle_masks import with_rectangles

from detkit.runs.saved_step import SavedStep, parse_step, write_step
from detkit.structures import Batch, PaddedTargets, Target

SIZES = [(9, 12), (9, 12)]

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


def test_masks_of_a_step_are_read_as_they_were_written(tmp_path):
    target = Target(torch.tensor([[1.0, 1, 5, 5]]), torch.tensor([4]), torch.tensor([False]))
    targets = PaddedTargets.of([with_rectangles(target), with_rectangles(Target.empty())], SIZES)
    batch = Batch(
        images=torch.zeros(2, 3, 9, 12, dtype=torch.uint8),
        image_sizes=SIZES,
        targets=targets,
        original_targets=[target, Target.empty()],
        image_ids=[1, 2],
        paths=["a", "b"],
        original_sizes=SIZES,
        to_image=torch.eye(3).expand(2, 3, 3),
    )
    path = tmp_path / "step.pt"
    write_step(path, SavedStep(**STEP, batch=batch), {}, {})
    masks = parse_step(torch.load(path, weights_only=True), path).batch.targets.masks
    assert (masks.counts, masks.sizes) == ((1, 0), tuple(SIZES))
    assert masks.bitmaps(0).equal(targets.masks.bitmaps(0))
