"""The corner head of MMDetection with the same weights: maps, targets, losses, gradients, pairs."""

import re
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from torch.testing import assert_close

from detkit import assembly
from detkit.config.pages import filled
from detkit.heads.corner_layers import CornerMaps
from detkit.heads.corner_pairing import best_corners, pair_corners
from detkit.structures import FeatureSpec, PaddedTargets, Target

pytestmark = pytest.mark.slow
IMAGE = (64, 96)
CELLS = (16, 24)
STACKS = 2
CHANNELS = 256  # of MMDetection's branches, whatever the input
BOXES = (
    torch.tensor([[3.0, 5, 61, 50], [20, 9, 33, 23], [50.5, 30, 90, 63]]),
    torch.tensor([[0.0, 0, 95, 62], [41, 12.25, 59, 55]]),
)
LABELS = (torch.tensor([0, 2, 0]), torch.tensor([1, 1]))
RENAMED = (
    ("direction1_conv", "columns"),
    ("direction2_conv", "rows"),
    ("aftpool_conv", "pooled"),
    (r"pooling\.conv1", "pooling.shortcut"),
    (r"pooling\.conv2", "pooling.output"),
    (r"\.bn\.", ".norm."),
    (r"(classes|embedding|offset)\.1\.conv", r"\1.1"),
)
BRANCHES = {"pool": "pooling", "heat": "classes", "emb": "embedding", "off": "offset"}


def our_name(name):
    kind, branch, stack, rest = re.match(r"(tl|br)_(\w+?)\.(\d)\.(.*)", name).groups()
    name = f"layers.stacks.{stack}.{int(kind == 'br')}.{BRANCHES[branch]}.{rest}"
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.fixture
def theirs(monkeypatch):
    """MMDetection's head, with a substitute for compiled operations that it does not use."""
    pytest.importorskip("mmengine", reason="the reference is MMDetection, which is not installed")
    monkeypatch.setitem(sys.modules, "mmcv._ext", MagicMock(__file__="", __spec__=None))
    module = pytest.importorskip("mmdet.models.dense_heads.corner_head")
    torch.manual_seed(0)
    embedding = {"type": "AssociativeEmbeddingLoss", "pull_weight": 0.1, "push_weight": 0.1}
    head = module.CornerHead(3, CHANNELS, num_feat_levels=STACKS, loss_embedding=embedding)
    head.init_weights()
    return head


@pytest.fixture
def ours(theirs):
    weight = 0.1 * STACKS * len(BOXES)  # MMDetection adds up maps and images
    values = {"pull_weight": weight, "push_weight": weight}
    node = filled("head", {"name": "cornernet", **values})
    wiring = {"feature_specs": [FeatureSpec(CHANNELS, 4)] * STACKS, "num_classes": 3}
    head = assembly.build("head", node, wiring, ("model", "head"))
    head.load_state_dict({our_name(n): value for n, value in theirs.state_dict().items()})
    return head


def features():
    generator = torch.Generator().manual_seed(1)
    shape = (len(BOXES), CHANNELS, *CELLS)
    return [torch.randn(*shape, generator=generator).requires_grad_() for _ in range(STACKS)]


def targets():
    flags = [torch.zeros(len(boxes), dtype=torch.bool) for boxes in BOXES]
    return PaddedTargets.of([Target(*fields) for fields in zip(BOXES, LABELS, flags, strict=True)])


# parity cornernet: MMDetection
def test_targets_equal_mmdetections(theirs, ours):
    expected = theirs.get_targets(BOXES, LABELS, (2, 3, *CELLS), IMAGE, with_corner_emb=True)
    heat, cells, offsets = ours._targets(features(), targets())
    for kind, corner in enumerate(("topleft", "bottomright")):
        assert_close(heat[:, kind], expected[f"{corner}_heatmap"])
        maps = expected[f"{corner}_offset"].flatten(2)
        for image, boxes in enumerate(BOXES):
            index = cells[image, kind, : len(boxes)]
            assert_close(offsets[image, kind, : len(boxes)], maps[image, :, index].T)


def test_losses_and_gradients_equal_mmdetections(theirs, ours):
    losses, inputs = {}, features()
    objects = [SimpleNamespace(bboxes=b, labels=n) for b, n in zip(BOXES, LABELS, strict=True)]
    parts = theirs.loss_by_feat(*theirs(inputs), objects, [{"batch_input_shape": IMAGE}])
    names = {"classification": "det", "offset": "off", "pull": "pull", "push": "push"}
    for name, part in names.items():
        losses[f"loss/{name}"] = torch.stack(list(parts[f"{part}_loss"])).sum()
    torch.stack(list(losses.values())).sum().backward()
    mine = features()
    our_losses = ours.loss(mine, targets())
    torch.stack(list(our_losses.values())).sum().backward()
    assert_close(our_losses, losses, rtol=1e-5, atol=1e-6)
    for feature, expected in zip(mine, inputs, strict=True):
        assert_close(feature.grad, expected.grad, rtol=1e-4, atol=1e-6)
    gradients = {our_name(n): p.grad for n, p in theirs.named_parameters()}
    assert_close({n: p.grad for n, p in ours.named_parameters()}, gradients, rtol=1e-3, atol=1e-5)


def test_pairs_equal_mmdetections(theirs):
    torch.manual_seed(2)
    maps = CornerMaps(
        torch.randn(1, 2, 3, *CELLS), torch.rand(1, 2, *CELLS), torch.rand(1, 2, 2, *CELLS)
    )
    heat = maps.class_logits.sigmoid()
    boxes, scores, labels = theirs._decode_heatmap(
        *heat.unbind(1),
        *maps.offsets.unbind(1),
        *maps.embeddings[:, :, None].unbind(1),
        img_meta={"batch_input_shape": IMAGE},
        k=40,
        num_dets=200,
    )
    ours = pair_corners(
        best_corners(maps, 40),
        stride=4,
        image_sizes=torch.tensor([IMAGE]),
        distance=0.5,
        limit=200,
    )
    exists = scores[0, :, 0] > 0
    assert exists.sum() > 100
    assert_close(ours.scores[0][exists], scores[0, exists, 0])
    assert_close(ours.boxes[0][exists], boxes[0, exists])
    assert torch.equal(ours.labels[0][exists], labels[0, exists, 0])
