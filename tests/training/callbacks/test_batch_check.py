"""A batch with a label or a box out of range stops the run before its loss, by file name."""

import dataclasses

import pytest
import torch
from training_fakes import Batches, TinyDetector, batches, cpu_trainer, tiny_module

from detkit.errors import DataError
from detkit.structures import PaddedTargets, Target
from detkit.training.callbacks.batch_check import BatchCheck
from detkit.training.fit import fit

NAN = float("nan")


def loader(box, label, number=2):
    """Batches; one has a valid object and this object."""
    found = batches(4)
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], box])
    target = Target(boxes, torch.tensor([1, label]), torch.tensor([False, False]))
    spoilt = dataclasses.replace(
        found.batches[number], targets=PaddedTargets.of([Target.empty(), target])
    )
    found.batches[number] = spoilt
    return found


def train(folder, found, **settings):
    callbacks = [BatchCheck(num_classes=2)]
    trainer = cpu_trainer(folder, callbacks=callbacks, **{"max_epochs": 1, **settings})
    fit(tiny_module(), trainer, found)


# pain 12
@pytest.mark.parametrize(
    ("box", "label", "shown"),
    [
        ([0.0, 0.0, 4.0, 4.0], 2, "label 2 and box .* label 2 is not in 0..1"),
        ([0.0, 0.0, 4.0, 4.0], -1, "label -1 and box .* expected a label in 0..1"),
        ([0.0, NAN, 4.0, 4.0], 1, r"box \[0, nan, 4, 4\] after the transforms: not finite"),
        ([7.0, 0.0, 4.0, 4.0], 1, r"box \[7, 0, 4, 4\].* not in order"),
        ([0.0, 0.0, 9.5, 4.0], 1, r"reaches outside the image of 8 x 8"),
    ],
)
def test_object_out_of_range_is_named_with_its_file(tmp_path, box, label, shown):
    with pytest.raises(DataError, match=rf"image5\.png: an object with .*{shown}"):
        train(tmp_path, loader(box, label))


def test_it_stops_before_the_loss(tmp_path):
    class Counting(TinyDetector):
        seen = 0

        def loss(self, batch):
            self.seen += 1
            return super().loss(batch)

    module = tiny_module(detector=Counting())
    trainer = cpu_trainer(tmp_path, callbacks=[BatchCheck(num_classes=2)], max_epochs=1)
    with pytest.raises(DataError, match="image5"):
        fit(module, trainer, loader([0.0, 0.0, 4.0, 4.0], 7))
    assert module.detector.seen == 2


@pytest.mark.parametrize("box", [[0.0, 0.0, 8.9, 8.0], [3.0, 3.0, 3.0, 8.0]])
def test_rounding_and_boxes_without_area_do_not_stop_training(tmp_path, box):
    train(tmp_path, loader(box, 1))


def test_later_epochs_are_not_looked_at(tmp_path):
    class Late(Batches):
        epochs = 0

        def __iter__(self):
            self.epochs += 1
            return iter(loader([0.0, 0.0, 4.0, 4.0], 2) if self.epochs > 1 else batches(2))

    train(tmp_path, Late(0, 1, 2, 3), max_epochs=2, limit_train_batches=2)
