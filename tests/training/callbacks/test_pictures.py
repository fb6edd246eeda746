from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from training_fakes import Batches, batch, cpu_trainer, tiny_module

from detkit.structures import DetectionMasks, Detections, Outlines, Target
from detkit.training.callbacks.pictures import Pictures, Spread, above, moved

CLASSES = ["disc", "square"]


def chosen(count, length):
    spread = Spread(count)
    for number in range(length):
        if spread.wants_next():
            spread.add(number)
    return spread.chosen()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 9, 15, 16, 17, 100, 1000])
def test_a_row_of_any_length_gives_an_even_choice(count, length):
    found = chosen(count, length)
    assert len(found) == min(count, length)
    assert len(set(found)) == len(found)
    gaps = np.diff([*found, length])
    assert all(0 < gap <= 2.5 * max(1, length / count) for gap in gaps)


def test_a_row_by_hand():
    assert chosen(4, 7) == [0, 1, 3, 5]
    assert chosen(4, 8) == [0, 2, 4, 6]
    assert chosen(4, 16) == [0, 4, 8, 12]
    assert chosen(2, 3) == [0, 1]


def test_no_more_than_twice_as_many_are_held():
    spread = Spread(3)
    for number in range(200):
        if spread.wants_next():
            spread.add(number)
        assert len(spread._kept) < 6


def test_boxes_move_with_the_image_by_hand():
    matrix = torch.tensor([[-0.5, 0, 50], [0, 2, 10], [0, 0, 1]], dtype=torch.float64)
    boxes = moved(torch.tensor([[10.0, 20, 30, 40]]), matrix)
    assert boxes.tolist() == [[35, 50, 45, 90]]
    assert boxes.dtype == torch.float32
    assert moved(torch.zeros(0, 4), matrix).shape == (0, 4)


def run(folder, count_of_batches=2, epochs=1, fit=True, **arguments):
    callback = Pictures(run_folder=str(folder), class_names=CLASSES, **arguments)
    trainer = cpu_trainer(folder, callbacks=[callback], max_epochs=epochs)
    validation = Batches(*range(10, 10 + count_of_batches))
    if fit:
        trainer.fit(tiny_module(), Batches(0), validation)
    else:
        trainer.validate(tiny_module(), validation, verbose=False)
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("pictures/**/*.jpg"))


def test_after_training_the_pictures_lie_in_the_run_folder(tmp_path):
    names = run(tmp_path, count=3)
    assert names == [f"pictures/{name}.jpg" for name in ("01", "02", "03", "overview")]
    with Image.open(tmp_path / "pictures" / "01.jpg") as picture:
        assert picture.size == (1476, 800)


def test_the_first_and_the_last_validation_are_written(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(Pictures, "_write", lambda self, folder: written.append(folder.name))
    run(tmp_path, count=1, epochs=4)
    assert written == ["pictures", "pictures"]


def test_fewer_images_than_wanted_are_all_shown(tmp_path):
    assert len(run(tmp_path, count=8)) == 4 + 1


def test_pictures_on_the_way_go_into_folders_of_their_own(tmp_path):
    names = run(tmp_path, count=1, epochs=3, every=2)
    folders = ["pictures/01.jpg", "pictures/epoch_002/01.jpg"]
    assert [name for name in names if "overview" not in name] == folders


def test_validation_alone_writes_too(tmp_path):
    assert "pictures/01.jpg" in run(tmp_path, count=1, fit=False)


def test_nothing_is_written_without_validation(tmp_path):
    assert run(tmp_path, count_of_batches=0) == []


class Trainer:
    """The part of Lightning's trainer that the callback uses."""

    is_global_zero = True
    sanity_checking = False


RING = np.array([[1.0, 1], [3, 1], [3, 3], [1, 3]])


def kept(found, **changes):
    """The callback's sample of one image with padding on the right and at the bottom."""
    columns = torch.tensor([[1.0, 1, 3, 3]]), torch.tensor([1]), torch.tensor([False])
    target = Target(*columns, outlines=Outlines.of([[RING]]))
    half = torch.diag(torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64))
    one = replace(
        batch(0, size=1), image_sizes=[(6, 4)], original_targets=[target], to_image=half[None]
    )
    callback = Pictures(run_folder="unused", class_names=CLASSES)
    trainer = Trainer()
    for name, value in changes.items():
        setattr(trainer, name, value)
    callback.on_validation_start(trainer, None)
    callback.on_validation_batch_end(trainer, None, [found], one, 0)
    return one, callback._spread.chosen()


FOUND = Detections(
    torch.tensor([[0.0, 0, 1, 1], [1, 1, 2, 2]]), torch.tensor([0.9, 0.2]), torch.tensor([0, 1])
)


def test_boxes_are_shown_on_the_image_that_the_detector_saw():
    one, (picture,) = kept(FOUND)
    assert torch.equal(picture.image, one.images[0, :, :6, :4])
    assert picture.image.data_ptr() != one.images.data_ptr()
    assert picture.target.boxes.tolist() == [[2, 2, 6, 6]]
    drawn = above(picture.detections, 0.3)
    assert drawn.boxes.tolist() == [[0, 0, 2, 2]]  # 0.2 is below the threshold
    assert len(picture.detections.scores) == 2  # loggers draw it on request
    assert picture.name == "image0.png"


def test_masks_are_shown_on_the_image_that_the_detector_saw():
    masks = DetectionMasks(torch.ones(2, 4, 4), FOUND.boxes, (3, 2))
    _, (picture,) = kept(FOUND.with_masks(masks))
    assert np.array_equal(picture.target.outlines.rings(0)[0], 2 * RING)
    drawn = above(picture.detections, 0.3).masks
    assert drawn.boxes.tolist() == [[0, 0, 2, 2]]
    assert drawn.window(0).size == (6, 4)


@pytest.mark.parametrize("changes", [{"is_global_zero": False}, {"sanity_checking": True}])
def test_other_ranks_and_the_first_check_keep_nothing(changes):
    assert kept(FOUND, **changes)[1] == []


def test_counting_continues_after_resuming():
    callback, resumed = (Pictures(run_folder="x", class_names=CLASSES) for _ in range(2))
    callback._validations = 5
    resumed.load_state_dict(callback.state_dict())
    assert resumed._validations == 5
