"""RefineDet equals a network that is written anew from the published numbers."""

import pytest
import torch
from refinedet import RefineDet

import detkit

CLASSES = [f"class {number}" for number in range(20)]


def build(page="refinedet320"):
    return detkit.build(detkit.compose([f"model={page}"]), class_names=CLASSES)


@pytest.mark.parametrize(
    "page", ["refinedet320", pytest.param("refinedet512", marks=pytest.mark.slow)]
)
def test_the_number_of_parameters_is_published(page):
    with torch.device("meta"):
        expected = sum(value.numel() for value in RefineDet(len(CLASSES)).parameters())
        assert sum(value.numel() for value in build(page).parameters()) == expected == 34440884


def copy(detector, reference):
    """The weights of a detector, into the reference."""
    backbone, extra, head = detector.backbone, detector.neck.extra[0], detector.head
    convolutions = [layer for layer in backbone.features if hasattr(layer, "weight")]
    neck, first = head.transfer_neck, head.refinement.layers
    pairs = [
        (reference.vgg, convolutions),
        ([reference.fc6, reference.fc7], [backbone.fc6, backbone.fc7]),
        (reference.extra, [extra.squeeze.conv, extra.conv]),
        (reference.arm_logits, first.class_layers),
        (reference.arm_codes, first.box_layers),
        (reference.tcb_in, [entry[0] for entry in neck.entry]),
        (reference.tcb_middle, [entry[2] for entry in neck.entry]),
        (reference.tcb_up, neck.enlarge),
        (reference.tcb_out, neck.output),
        (reference.odm_logits, head.layers.class_layers),
        (reference.odm_codes, head.layers.box_layers),
    ]
    for layers, sources in pairs:
        for layer, source in zip(layers, sources, strict=True):
            layer.load_state_dict(source.state_dict())
    for length, source in zip(reference.lengths, [backbone.scale4, backbone.scale5], strict=True):
        length.data.copy_(source)


@pytest.mark.slow
@torch.no_grad()
def test_both_steps_predict_the_same():
    torch.manual_seed(0)
    detector, reference = build().eval(), RefineDet(len(CLASSES)).eval()
    copy(detector, reference)
    images = torch.randint(0, 256, (2, 3, 128, 192)).float()
    features = detector.features_in(images)
    normalised = (images - detector.pixel_mean) / detector.pixel_std
    arm_logits, arm_codes, logits, codes = reference(normalised)
    first, _ = detector.head.refinement.predict_at_priors(features)
    second, _ = detector.head.predict_at_priors(features)
    for value, expected in (
        (first.class_logits, arm_logits),
        (first.box_codes, arm_codes),
        (second.class_logits, logits),
        (second.box_codes, codes),
    ):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
