"""The gradients of two ranks equal one process's for all their images."""

from dataclasses import fields, replace

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.structures import PaddedTargets, Target
from detkit.training.sharding import divide, whole

SIDE = 96
OBJECTS = [9, 1, 0]  # at most so many in each image of the first rank; 1 in the first of them only
# Norms that do not depend on the batch, and samplers that draw nothing.
RESNET = ["model/backbone=resnet18", "model.backbone.norm=group"]
SMALL = [*RESNET, "model.neck.out_channels=32"]
NO_DRAWS = ["model/proposer/sampler=keep_all", "model/roi_head/sampler=keep_all"]
DETECTORS = {
    "fcos": ["model=fcos", *SMALL],
    "gfl": ["model=atss", *SMALL, "model.head.classification_loss=quality_focal"],
    "ghm": [
        *("model=retinanet", *SMALL),
        "model.head.classification_loss=ghm_c",
        "model.head.box_loss=ghm_r",
    ],
    "two stages": ["model=faster_rcnn", *SMALL, "model.backbone.levels=[2,3,4,5]", *NO_DRAWS],
}


class Sum(nn.Module):
    """A detector whose forward returns the sum of its losses, as DDP needs it."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, batch):
        return sum(v for k, v in self.detector.loss(batch).items() if k.startswith("loss/"))


def four_images(folder, words, objects):
    """A batch whose second half holds no box, or one with no more than one object; a detector."""
    settings = [
        "data=shapes",
        f"data.path={folder}",
        f"data.reader.image_size={SIDE}",
        "data.workers=0",
    ]
    settings += ["data.reader.train_images=4", "data.reader.validation_images=1"]
    config = compose("train", [*words, *settings, "data.batch_size=4"])
    data = assembly.build_data(config)
    torch.manual_seed(0)
    classes = Classes(data.class_names, data.category_ids)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    batch = next(iter(data.train_loader()))
    kept = [
        target.select(torch.arange(len(target)) < objects) for target in batch.targets.split()[:2]
    ]
    if objects == 1:
        kept[1] = Target.empty()
    targets = PaddedTargets.of([*kept, Target.empty(), Target.empty()])
    return replace(batch, targets=targets), detector.double()


def half(batch, rank):
    """Two images of the batch."""
    cut = slice(2 * rank, 2 * rank + 2)
    names = [field.name for field in fields(batch) if field.name != "targets"]
    targets = batch.targets.images(cut.start, cut.stop)
    return replace(batch, **{name: getattr(batch, name)[cut] for name in names}, targets=targets)


def gradients(detector):
    return {name: p.grad for name, p in detector.named_parameters() if p.requires_grad}


def compare(rank, store, folder, words):
    """Run by each rank."""
    torch.set_num_threads(1)
    for objects in OBJECTS:
        batch, alone = four_images(folder, words, objects)
        Sum(alone)(batch).backward()
        for wrap in (replicated, divided):
            _, together = four_images(folder, words, objects)
            place = f"{store}{objects}{wrap.__name__}"
            torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
            model = wrap(together)
            model(half(batch, rank)).backward()
            found = {name: whole(value) for name, value in gradients(together).items()}
            torch.distributed.destroy_process_group()
            require_equal(found, gradients(alone), f"{wrap.__name__}, {objects}")


def replicated(detector):
    return DistributedDataParallel(Sum(detector), broadcast_buffers=False)


def divided(detector):
    divide(detector, init_device_mesh("cpu", (2,)))
    return Sum(detector)


def require_equal(found, expected, case):
    """In double precision, to a millionth of what a parameter's gradient is at its largest."""
    assert max(gradient.abs().max() for gradient in expected.values()) > 0
    for name, gradient in expected.items():
        limit = 1e-6 * float(gradient.abs().max()) + 1e-12
        about = f"{name}, {case} objects an image at most"
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=limit, msg=about)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_two_ranks_have_the_gradients_of_one(tmp_path, name):
    # pain 15: the second rank has no box in any case
    four_images(tmp_path / "shapes", DETECTORS[name], 0)  # rendered once
    arguments = (f"file://{tmp_path}/store", str(tmp_path / "shapes"), DETECTORS[name])
    torch.multiprocessing.spawn(compare, args=arguments, nprocs=2)
