"""Proposals move through the transforms as boxes do."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch.testing import assert_close

from detkit import registry
from detkit.data.collate import Collate
from detkit.data.detection_dataset import Key
from detkit.data.proposal_travel import ProposalDataset, unload_proposals, with_proposals
from detkit.data.readers.voc_reader import VocReader
from detkit.interfaces import MixingTransform
from detkit.structures import Outlines, Sample, Target

OBJECTS = torch.tensor([[4.0, 6, 30, 28], [20, 8, 44, 30]])
TRANSFORMS = {
    "horizontal_flip": {"probability": 1.0},
    "vertical_flip": {"probability": 1.0},
    "random_crop": {"smallest": 0.6, "probability": 1.0, "allow_empty": True},
    "crop_to_size": {"height": 24, "width": 30, "allow_empty": True},
    "resize": {"short_side": 50},
    "resize_exact": {"height": 33, "width": 60},
    "letterbox": {"height": 70, "width": 70},
    "scale_jitter": {},
    "random_perspective": {"degrees": 20.0, "shear": 5.0, "perspective": 0.1},
    "cut_out": {"probability": 1.0},
    "color_jitter": {},
    "hsv": {},
    "mosaic": {"height": 80, "width": 80},
    "mixup": {"probability": 1.0},
    "copy_paste": {"probability": 1.0},
    "cutmix": {"probability": 1.0},
    "albumentations": {"transforms": [{"HorizontalFlip": {"p": 1}}]},
}
TRIED = [name for name in TRANSFORMS if name != "albumentations" or find_spec(name)]


def sample(seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (3, 36, 48), generator=generator, dtype=torch.uint8)
    target = Target(OBJECTS - 3 * seed, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool))
    return Sample(pixels, target, target, seed, "", (36, 48))


def test_every_transform_is_tried():
    assert sorted(TRANSFORMS) == sorted(n for n in registry.names("transform"))


# Proposals that equal the objects end where the objects end.
@pytest.mark.parametrize("name", TRIED)
def test_proposals_move_with_the_objects(name):
    step = registry.get("transform", name)(**TRANSFORMS[name])
    first, *others = (with_proposals(image, image.target.boxes) for image in map(sample, range(4)))
    generator = torch.Generator().manual_seed(1)
    if isinstance(step, MixingTransform):
        moved = step.mix(first, others[: step.count(generator)], generator)
    else:
        moved = step(first, generator)
    moved = unload_proposals(moved)
    assert len(moved.target) > 0
    assert not moved.target.ignored.any()
    assert_close(sorted(moved.proposals.tolist()), sorted(moved.target.boxes.tolist()))


@pytest.mark.parametrize("name", TRIED)
def test_objects_are_the_same_with_and_without_proposals(name):
    step = registry.get("transform", name)(**TRANSFORMS[name])
    results = []
    for carry in (False, True):
        images = [with_proposals(s, OBJECTS) if carry else s for s in map(sample, range(4))]
        generator = torch.Generator().manual_seed(1)
        if isinstance(step, MixingTransform):
            count = step.count(generator)
            result = step.mix(images[0], images[1 : 1 + count], generator)
        else:
            result = step(images[0], generator)
        results.append(unload_proposals(result))
    assert torch.equal(results[0].image, results[1].image)
    assert torch.equal(results[0].target.boxes, results[1].target.boxes)
    assert torch.equal(results[0].target.labels, results[1].target.labels)


class Known:
    """Proposals by the name of the image."""

    def boxes(self, path):
        return torch.full((len(path.stem), 4), float(ord(path.stem))) + torch.tensor([0, 0, 1, 1])


def test_samples_and_batches_carry_the_proposals_of_their_image(voc):
    index = VocReader().read(voc, "train")
    dataset = ProposalDataset(index, transforms={}, seed=0, proposals=Known())
    samples = [dataset[Key(0, position)] for position in range(2)]
    batch = Collate(pad_multiple=1)(samples)
    assert batch.proposals.boxes[:, 0].tolist() == [[97, 97, 98, 98], [98, 98, 99, 99]]
    assert len(samples[0].target) == 2  # a cat and a difficult dog
    assert Collate(pad_multiple=1)([sample()]).proposals is None


def test_an_image_without_objects_in_data_with_masks_carries_proposals():
    image = sample()
    image = replace(image, target=replace(Target.empty(), outlines=Outlines.of([])))
    unloaded = unload_proposals(with_proposals(image, OBJECTS))
    assert_close(unloaded.proposals, OBJECTS)
    assert len(unloaded.target) == len(unloaded.target.outlines) == 0


def test_the_proposals_of_an_object_are_pasted_with_its_mask():
    def masked(boxes, proposals):
        corners = boxes.double().numpy()[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 1, 4, 2)
        target = Target(boxes, torch.zeros(len(boxes)).long(), torch.zeros(len(boxes)).bool())
        target = replace(target, outlines=Outlines.of([list(rings) for rings in corners]))
        return with_proposals(replace(sample(), target=target), proposals)

    step = registry.get("transform", "copy_paste")(most=1, smallest=1.0, largest=1.0)
    other = masked(torch.tensor([[4.0, 6, 16, 20]]), torch.tensor([[4.0, 6, 16, 20]]))
    plain = masked(torch.zeros(0, 4), torch.zeros(0, 4))
    pasted = unload_proposals(step.mix(plain, [other], torch.Generator().manual_seed(0)))
    assert len(pasted.target) == 1
    assert_close(pasted.proposals, pasted.target.boxes)
