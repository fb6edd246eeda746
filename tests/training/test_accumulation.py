"""The gradient of several batches equals the gradient of one batch with all their images."""

import copy
import itertools
from dataclasses import fields

import pytest
import torch
from training_fakes import Batches, cpu_trainer, tiny_module

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.ops.cross_mini_batch_norm import CrossMiniBatchNorm
from detkit.structures import Batch, PaddedTargets, Target
from detkit.training.accumulation import Accumulation, ReadAhead
from detkit.training.fit import fit

SIDE, CLASSES = 64, 3
# Norms that do not depend on the batch, and samplers that draw nothing.
SMALL = ["model/backbone=resnet18", "model.backbone.norm=group", "model.neck.out_channels=16"]
HEAD = "model.head.layers.norm=group"
DETECTORS = {
    "fcos": [
        "model=fcos",
        *SMALL,
        "model.head.layers.convs=1",
    ],  # two counts: positives, centrenesses
    "yolov5": ["model=fcos", *SMALL, "model/head=yolov5", HEAD],  # positives and cells
    "yolov3": ["model=fcos", *SMALL, "model/head=yolov3", HEAD],  # images
    "yolo_free": ["model=fcos", *SMALL, "model/head=yolo_free", HEAD],  # known only afterwards
}


def batch(*objects, seed=0):
    """One image for each number of objects."""
    generator = torch.Generator().manual_seed(seed)
    targets = []
    for count in objects:
        corners, sides = 40 * torch.rand(2, count, 2, generator=generator)
        labels = torch.randint(CLASSES, (count,), generator=generator)
        boxes = torch.cat([corners, corners + sides / 2 + 4], dim=1)
        targets.append(Target(boxes, labels, torch.zeros(count, dtype=torch.bool)))
    shape = (len(objects), 3, SIDE, SIDE)
    return Batch(
        images=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        image_sizes=[(SIDE, SIDE)] * len(objects),
        targets=PaddedTargets.of(targets),
        original_targets=targets,
        image_ids=list(range(len(objects))),
        paths=[""] * len(objects),
        original_sizes=[(SIDE, SIDE)] * len(objects),
        to_image=torch.eye(3, dtype=torch.float64).repeat(len(objects), 1, 1),
    )


def together(batches):
    values = {}
    targets = PaddedTargets.of([t for batch in batches for t in batch.targets.split()])
    for field in fields(Batch):
        each = [getattr(batch, field.name) for batch in batches]
        is_tensor = isinstance(each[0], torch.Tensor)
        values[field.name] = torch.cat(each) if is_tensor else list(itertools.chain(*each))
    return Batch(**{**values, "targets": targets})


def detector(words):
    torch.manual_seed(0)
    model = compose("train", words)["model"]
    classes = Classes([f"class {i}" for i in range(CLASSES)], list(range(1, CLASSES + 1)))
    return assembly.build_detector(model, classes, fetch_weights=False).double()


def trained(folder, model, batches, accumulate):
    """The weights after one epoch."""
    model = copy.deepcopy(model)
    trainer = cpu_trainer(folder, max_epochs=1, accumulate_grad_batches=accumulate)
    loader = Batches()
    loader.batches = batches
    fit(tiny_module(detector=model), trainer, loader)
    return dict(model.named_parameters())


UNEVEN, EMPTY, LAST = [batch(9, 1), batch(2, 0, seed=1)], [batch(7, 3), batch(0, 0)], batch(1, 2)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in DETECTORS])
@pytest.mark.parametrize("batches", [UNEVEN, EMPTY], ids=["uneven", "one without objects"])
# pain 52
def test_two_accumulated_batches_equal_one_large_batch(tmp_path, name, batches):
    model = detector(DETECTORS[name])
    found = trained(tmp_path / "a", model, [*batches, LAST], 2)
    expected = trained(tmp_path / "b", model, [together(batches), LAST], 1)
    first = dict(model.named_parameters())
    for key, value in expected.items():
        limit = 1e-5 * (value - first[key]).abs().max().item() + 1e-12
        torch.testing.assert_close(found[key], value, rtol=0, atol=limit, msg=key)


def test_batches_of_a_step_are_read_before_the_first_is_given():
    loader = Batches()
    loader.batches = [batch(1), batch(2), batch(3)]
    ahead = ReadAhead(loader, 2)
    objects = [[targets.counts[0] for _, _, targets in each.step] for each in ahead]
    assert objects == [[1, 2], [1, 2], [3]]
    assert len(ahead) == 3
    assert ahead.batches == 2


def test_all_batches_divide_by_what_they_count_together():
    model = detector(["model=fcos", "model/backbone=timm", "model.backbone.model=test_resnet"])
    loader = Batches()
    loader.batches = [batch(2), batch(0)]
    first, second = ReadAhead(loader, 2)
    accumulation = Accumulation(model)
    accumulation.begin(first, 2)
    divisors = []
    for number, each in enumerate([first, second]):
        model.loss(each)
        accumulation.after_batch(each, number)
        divisors.append(model.head.divisors.of_step)
    assert torch.equal(divisors[0], divisors[1])
    assert accumulation.correction() == 1


def test_a_head_with_another_count_is_reported(caplog):
    model = detector(["model=fcos", "model/backbone=timm", "model.backbone.model=test_resnet"])
    loader = Batches()
    loader.batches = [batch(2), batch(3)]
    first, _ = ReadAhead(loader, 2)
    accumulation = Accumulation(model)
    accumulation.begin(first, 2)
    model.loss(batch(6, seed=1))
    accumulation.after_batch(first, 0)
    assert "DenseHead counted" in caplog.text
    assert "differ from those of one larger batch" in caplog.text


def test_norms_across_batches_begin_with_each_step():
    words = ["model=yolov5n", "model.backbone.width=0.125", "model.backbone.norm=cmbn"]
    words += ["trainer.accumulate_grad_batches=2"]
    model = detector(words)
    norm = next(m for m in model.modules() if isinstance(m, CrossMiniBatchNorm))
    loader = Batches()
    loader.batches = [batch(2), batch(1)]
    ahead = list(ReadAhead(loader, 2))
    accumulation = Accumulation(model)
    counts = []
    for number, each in enumerate([*ahead, ahead[0]]):
        if number % 2 == 0:
            accumulation.begin(each, 2)
        model.loss(each)
        counts.append(int(norm.step_count))
    assert counts == [counts[0], 2 * counts[0], counts[0]]
