"""Set prediction: padding has no effect, one copy to the host, other losses and necks."""

import pytest
import torch
from torch.testing import assert_close

import detkit
from detkit.errors import UserError
from detkit.structures import PaddedTargets, Target
from detkit.weights.detr_source import is_detr, tensors_of_detr

SIZES = torch.tensor([[64.0, 96], [32, 64]])


def features():
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 12), (4, 6), (2, 3)]
    return [torch.randn(2, 8, *shape, generator=generator) for shape in shapes]


def targets():
    box = torch.tensor([[4.0, 4, 30, 30], [20, 8, 60, 28]])
    alone = Target(box, torch.tensor([0, 2]), torch.zeros(2, dtype=torch.bool))
    return PaddedTargets.of([alone, alone])._replace(image_sizes=SIZES)


def with_other_padding(maps):
    """The maps of the second image with other values beyond its 32 x 64 pixels."""
    changed = [level.clone() for level in maps]
    for level, stride in zip(changed, (8, 16, 32), strict=True):
        level[1, :, 32 // stride :] = 9.0
        level[1, :, :, 64 // stride :] = -9.0
    return changed


def test_padding_has_no_effect(build_head):
    head = build_head("detr").eval()
    expected, changed = features(), with_other_padding(features())
    assert_close(head.loss(changed, targets()), head.loss(expected, targets()))
    assert_close(head.predict(changed, SIZES).boxes, head.predict(expected, SIZES).boxes)


def test_an_image_predicts_the_same_boxes_without_its_padding(build_head):
    head = build_head("detr").eval()
    maps = features()
    steps = zip(maps, (8, 16, 32), strict=True)
    cut = [level[1:, :, : 32 // stride, : 64 // stride] for level, stride in steps]
    alone, _ = head.boxes_and_scores(cut, SIZES[1:])
    together, _ = head.boxes_and_scores(maps, SIZES)
    assert_close(alone[0], together[1], rtol=1e-4, atol=1e-3)


def test_the_costs_of_all_images_and_layers_are_copied_once(build_head, monkeypatch):
    head, copies = build_head("detr"), []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: copies.append(t.shape) or cpu(t))
    head.loss(features(), targets())
    assert copies == [(4, 2, 20)]  # two images after two layers, objects, queries


def test_loss_parts_of_one_query_by_hand(build_head):
    head = build_head("detr", queries=1, decoder_layers=1, dropout=0.0)
    losses = head.loss(features(), targets())
    logits, boxes = head.layers(features(), SIZES)
    _, matched = head.assign(features(), targets())
    labels = targets().labels.gather(1, matched).flatten()
    expected = torch.nn.functional.cross_entropy(logits[0, :, 0], labels)
    assert_close(losses["loss/classification"], expected)
    box = targets().boxes[torch.arange(2), matched[:, 0]]
    extent = SIZES.flip(1)
    codes = torch.cat(
        [(box[:, :2] + box[:, 2:]) / 2 / extent, (box[:, 2:] - box[:, :2]) / extent], 1
    )
    assert_close(losses["loss/code"], 5 * (boxes[0, :, 0] - codes).abs().sum() / 2)


@pytest.mark.parametrize(
    "parts",
    [{"box_loss": {"name": "ciou"}}, {"classification_loss": {"name": "focal"}}],
    ids=["ciou", "focal"],
)
def test_losses_can_be_swapped(build_head, parts):
    head = build_head("detr", **parts)
    torch.stack(list(head.loss(features(), targets()).values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_an_assigner_without_predictions_is_refused(build_head):
    with pytest.raises(UserError, match="choose one that uses predictions"):
        build_head("detr", assigner={"name": "max_iou"})


def test_a_width_that_heads_do_not_divide_is_refused(build_head):
    with pytest.raises(UserError, match="multiple of 4 and of attention_heads 3"):
        build_head("detr", attention_heads=3)


@pytest.mark.slow
def test_the_page_takes_another_backbone_and_reads_its_coarsest_level():
    words = ["model=detr", "model/backbone=convnext_tiny", "model.backbone.weights=null"]
    config = detkit.compose(words)
    with torch.device("meta"):
        detector = detkit.build(config, class_names=["a"])
    assert detector.head.layers.strides == [32]


def test_the_authors_layout_becomes_detkits():
    prefix = "transformer.decoder.layers.0."
    joint = torch.arange(12.0)[:, None].expand(12, 4)
    named = {
        f"{prefix}multihead_attn.in_proj_weight": joint,
        f"{prefix}norm3.bias": torch.ones(4),
        "class_embed.weight": torch.zeros(92, 4),
        "bbox_embed.layers.2.bias": torch.zeros(4),
        "backbone.0.body.layer1.0.conv1.weight": torch.zeros(1),
    }
    assert is_detr(named)
    ours = tensors_of_detr(named)
    layer = "head.layers.transformer.decoder.0."
    assert torch.equal(ours[f"{layer}image_attention.key.weight"], joint[4:8])
    assert {f"{layer}output_norm.bias", "head.layers.box_layer.bias"} <= ours.keys()
    assert {"head.layers.class_layer.weight", "backbone.layer1.0.conv1.weight"} <= ours.keys()


def test_linear_scores_have_no_background_logit(build_head):
    loss = {"name": "squared_score", "linear": True}
    head = build_head("detr", classification_loss=loss).eval()
    _, scores = head.boxes_and_scores(features(), SIZES)
    assert scores.shape[2] == head.forward(features()).class_logits.shape[2] == 3
