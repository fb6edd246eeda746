"""A batch gets the assignments that each of its images got when images were assigned alone."""

import pytest
import reference
import reference_with_predictions
import torch
from assigner_scenes import anchors, objects, points, random_objects

from detkit import registry
from detkit.ops import assign_batch, chunks
from detkit.structures import PaddedTargets, Priors, Target

# test_hungarian.py compares that one with all permutations.
NAMES = [name for name in registry.names("assigner") if name != "hungarian"]
CLASSES = 3


def images(seed):
    """No objects, one, some, equal ones, tiny, huge and very many, with random classes."""
    generator = torch.Generator().manual_seed(seed)
    some = random_objects(7, seed)
    scenes = [
        objects(),
        random_objects(1, seed),
        some,
        random_objects(20, seed, step=8),
        some.select(torch.tensor([0, 0, 1, 1, 1, 2])),
        objects([10.0, 10, 11, 11.5], [50.0, 60, 50, 60], [70, 80, 71, 80.2]),
        objects([-5000.0, -5000, 5000, 5000], [0.0, 0, 160, 128], [600, 600, 700, 700]),
        random_objects(500 if seed == 0 else 60, seed),
    ]
    return [
        Target(t.boxes, torch.randint(CLASSES, (len(t),), generator=generator), t.ignored)
        for t in scenes
    ]


def predictions(priors, count, seed):
    """Scores (B, P, C) and boxes (B, P, 4); for seed 1 those of a network that knows nothing."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, len(priors.boxes))
    if seed == 1:
        return torch.full((*shape, CLASSES), 0.01), priors.boxes.repeat(count, 1, 1)
    scores = torch.rand(*shape, CLASSES, generator=generator) ** 3
    return scores, priors.boxes + 6 * torch.randn(*shape, 4, generator=generator)


def reference_of(assigner):
    name = type(assigner).__name__
    module = reference_with_predictions if assigner.uses_predictions else reference
    made = object.__new__(getattr(module, name))
    vars(made).update(vars(assigner))
    return made


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make_priors", [points, lambda: anchors(3.0, 2, (0.6, 1.3))])
def test_equals_images_alone(make_priors, name, seed, monkeypatch):
    assigner, priors, targets = registry.get("assigner", name)(), make_priors(), images(seed)
    scores, boxes = predictions(priors, len(targets), seed)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 2**16)  # of several chunks and runs
    matched, soft = assign_batch(assigner, priors, scores, boxes, PaddedTargets.of(targets))
    alone = reference_of(assigner)
    for number, target in enumerate(targets):
        expected = alone(priors, scores[number], boxes[number], target)
        assert torch.equal(matched[number], expected.matched)
        if soft is not None:
            torch.testing.assert_close(soft[number], expected.scores, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_priors_of_each_image_equal_shared_ones(name):
    assigner, priors, targets = registry.get("assigner", name)(), points(), images(2)[:5]
    scores, boxes = predictions(priors, len(targets), 0)
    padded = PaddedTargets.of(targets)
    shared = assigner(priors, scores, boxes, padded).matched
    own = Priors(*(field.expand(5, *field.shape) for field in priors[:3]), priors.level_sizes)
    assert torch.equal(assigner(own, scores, boxes, padded).matched, shared)
