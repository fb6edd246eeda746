"""The layers of YOLOv2 to YOLOv5."""

import torch

from detkit.heads.yolo_layers import YOLOLayers
from detkit.structures import FeatureSpec


def predict(activation):
    layers = YOLOLayers(
        feature_specs=[FeatureSpec(channels=4, stride=8)],
        num_classes=3,
        per_cell=[1],
        code_size=4,
        class_activation=activation,
        convs=0,
        background_logit=False,
    )
    return layers([torch.zeros(1, 4, 1, 1)]).class_logits[0, 0].tolist()


def test_without_a_background_logit_a_softmax_gets_one_that_never_wins():
    assert predict("softmax")[3] == -100


def test_scores_without_background_keep_all_their_classes():
    assert [round(value, 6) for value in predict("identity")] == [0.01] * 3
