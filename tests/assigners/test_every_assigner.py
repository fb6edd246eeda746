"""Contract of every registered assigner."""

import pytest
import torch
from assigner_scenes import assign as assign_image
from assigner_scenes import objects, points, random_objects
from contract_cases import each_promise
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detkit import registry


@each_promise("assigner")
def test_an_assigner_keeps_its_contract(case):
    case()


@pytest.fixture(params=registry.names("assigner"))
def assign(request):
    assigner = registry.get("assigner", request.param)()
    priors = points()
    count = len(priors.boxes)

    def call(target):
        scores = torch.full((count, 2), 0.5) if assigner.uses_predictions else None
        boxes = priors.boxes + 0.5 if assigner.uses_predictions else None
        return assign_image(assigner, priors, target, scores, boxes).matched

    return call


def test_an_object_without_area_does_no_harm(assign):
    empty = [20.0, 20.0, 20.0, 20.0]
    usual = [60.0, 30.0, 140.0, 110.0]
    assert (assign(objects(empty)) == 0).sum() <= 9
    assert (assign(objects(usual, empty)) == 0).any()


class _Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor holds."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)]
        self.numbers = max([self.numbers, *(leaf.numel() for leaf in tensors)])
        return found


@pytest.mark.parametrize("name", registry.names("assigner"))
def test_memory_grows_with_pairs_and_not_with_pairs_times_classes(name):
    assigner, priors, target = registry.get("assigner", name)(), points(), random_objects(50, 0)
    count = len(priors.boxes)
    with _Largest() as largest:
        assign_image(assigner, priors, target, torch.full((count, 80), 0.1), priors.boxes * 1.5)
    assert largest.numbers <= 6 * count * 50
